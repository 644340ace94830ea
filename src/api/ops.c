/* ops.c - what operators and their machines ask. */
#include "api/api.h"

#include "base/json.h"
#include "base/metrics.h"
#include "store/store.h"

#include <stdio.h>
#include <unistd.h>

/* Alive means: the loop answers. It says nothing about anything behind it. */
void ops_serve_livez(struct http_exchange *x, const struct http_reader *rq)
{
    (void)rq;
    api_answer_json(x, 200, STR("{\"status\":\"alive\"}"));
}

/* The words about a schema are ours; others name hosts and users, and are for the log. */
static void answer_no_database(struct http_exchange *x)
{
    struct buf body = BUF(4096);

    buf_lit(&body, "{\"status\":\"no database\"");
    if (store_is_unfit(api_store())) {
        buf_lit(&body, ",\"why\":");
        json_add_str(&body, str_of(store_why(api_store())));
    }
    buf_lit(&body, "}");
    api_answer_json(x, 503, buf_str(&body));
    buf_release(&body);
}

/* One that is there answers for those who are on their way back. */
static void answer_ready(struct http_exchange *x)
{
    struct buf body = BUF(100);
    int64_t    second;

    buf_lit(&body, "{\"status\":\"ready\"");
    if (metrics_process(1, &second))
        buf_addf(&body, ",\"workers\":%lld", (long long)metric_total(METRIC_WORKERS));
    buf_lit(&body, "}");
    api_answer_json(x, 200, buf_str(&body));
    buf_release(&body);
}

void ops_serve_readyz(struct http_exchange *x, const struct http_reader *rq)
{
    (void)rq;
    if (api_is_ready() && api_store() && !store_is_ready(api_store()))
        answer_no_database(x);
    else if (api_is_ready())
        answer_ready(x);
    else
        api_answer_json(x, 503, STR("{\"status\":\"draining\"}"));
}

/* Second number of /proc/PID/statm, in pages. The file is made by the kernel as it is
 * read, so this does not wait for a disk. */
static int64_t resident_bytes_of(int64_t pid)
{
    char  path[40];
    FILE *f;
    long  pages = 0;

    snprintf(path, sizeof path, "/proc/%lld/statm", (long long)pid);
    f = fopen(path, "re");

    if (f && fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

int64_t api_resident_bytes(void)
{
    int64_t sum = 0, pid;

    for (size_t i = 0; metrics_process(i, &pid); i++)
        if (pid)
            sum += resident_bytes_of(pid);
    return sum;
}

void ops_serve_metrics(struct http_exchange *x, const struct http_reader *rq)
{
    struct buf body = BUF(1 << 20);

    (void)rq;
    metric_set(METRIC_RESIDENT, api_resident_bytes());
    metrics_write(&body);
    metric_set(METRIC_RESIDENT, 0);           /* of all: it stands on no page for long */
    http_answer(x, &(struct http_answer){ 200, STR("text/plain; version=0.0.4; charset=utf-8"),
                                          STR(""), buf_str(&body) });
    buf_release(&body);
}
