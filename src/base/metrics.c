#include "base/metrics.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

enum kind { COUNTER, GAUGE, LONGEST, HISTOGRAM };

static const struct {
    enum kind   kind;
    const char *name, *labels, *help;
} table[] = {
#define X(id, kind, name, labels, help) { kind, name, labels, help },
    METRICS(X)
#undef X
};

/* A labelled metric's children stand in a list: there are a few dozen at most. */
struct child {
    struct child *next;
    char         *first, *second;
    int64_t       value;
};

static const struct {
    uint64_t    ns;
    const char *le;
} bounds[] = {
    { 100000, "0.0001" },  { 250000, "0.00025" }, { 500000, "0.0005" },  { 1000000, "0.001" },
    { 2500000, "0.0025" }, { 5000000, "0.005" },  { 10000000, "0.01" },  { 25000000, "0.025" },
    { 50000000, "0.05" },  { 100000000, "0.1" },  { 250000000, "0.25" }, { 500000000, "0.5" },
    { 1000000000, "1" },   { 2500000000, "2.5" }, { 5000000000, "5" },   { 10000000000, "10" },
    { 30000000000, "30" }, { 60000000000, "60" },
};
enum { BOUNDS = sizeof bounds / sizeof *bounds };

static struct {
    int64_t       value;                      /* histograms: how many           */
    struct child *children;
    uint64_t      sum_ns;
    uint64_t      buckets[BOUNDS];            /* not cumulative                 */
} state[METRIC_COUNT];

void metric_add(enum metric m, int64_t n)
{
    state[m].value += n;
}

void metric_set(enum metric m, int64_t value)
{
    state[m].value = value;
}

int64_t metric_value(enum metric m)
{
    return state[m].value;
}

void metric_longest(enum metric m, uint64_t ns)
{
    if ((int64_t)ns > state[m].value)
        state[m].value = (int64_t)ns;
}

void metric_add_labelled(enum metric m, const char *first, const char *second)
{
    struct child *c = state[m].children;

    while (c && (strcmp(c->first, first) != 0 || strcmp(c->second, second) != 0))
        c = c->next;
    if (!c) {
        c = mem_new(sizeof *c);
        c->first = mem_copy(first, strlen(first));
        c->second = mem_copy(second, strlen(second));
        c->next = state[m].children;
        state[m].children = c;
    }
    c->value++;
}

void metric_observe(enum metric m, uint64_t ns)
{
    size_t low = 0, high = BOUNDS;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (ns <= bounds[middle].ns)
            high = middle;
        else
            low = middle + 1;
    }
    if (low < BOUNDS)
        state[m].buckets[low]++;
    state[m].value++;
    state[m].sum_ns += ns;
}

/* ---- the text ------------------------------------------------------------- */

static void write_children(struct buf *out, enum metric m)
{
    struct str labels = str_of(table[m].labels), first, second = { NULL, 0 };

    str_next(&labels, ',', &first);
    str_next(&labels, ',', &second);
    for (const struct child *c = state[m].children; c; c = c->next) {
        buf_addf(out, "%s{%.*s=\"%s\"", table[m].name, STR_ARG(first), c->first);
        if (second.n)
            buf_addf(out, ",%.*s=\"%s\"", STR_ARG(second), c->second);
        buf_addf(out, "} %lld\n", (long long)c->value);
    }
}

static void write_histogram(struct buf *out, enum metric m)
{
    const char *name = table[m].name;
    uint64_t    sum = 0;

    for (size_t i = 0; i < BOUNDS; i++) {
        sum += state[m].buckets[i];
        buf_addf(out, "%s_bucket{le=\"%s\"} %llu\n", name, bounds[i].le, (unsigned long long)sum);
    }
    buf_addf(out, "%s_bucket{le=\"+Inf\"} %lld\n", name, (long long)state[m].value);
    buf_addf(out, "%s_sum %.6f\n", name, (double)state[m].sum_ns / 1e9);
    buf_addf(out, "%s_count %lld\n", name, (long long)state[m].value);
}

void metrics_write(struct buf *out)
{
    static const char *const kinds[] = { "counter", "gauge", "gauge", "histogram" };

    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", table[m].name, table[m].help, table[m].name,
                 kinds[table[m].kind]);
        if (table[m].labels[0])
            write_children(out, m);
        else if (table[m].kind == HISTOGRAM)
            write_histogram(out, m);
        else if (table[m].kind == LONGEST)
            buf_addf(out, "%s %.6f\n", table[m].name, (double)state[m].value / 1e9);
        else
            buf_addf(out, "%s %lld\n", table[m].name, (long long)state[m].value);
    }
}

void metrics_release(void)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        while (state[m].children) {
            struct child *c = state[m].children;

            state[m].children = c->next;
            mem_free(c->first);
            mem_free(c->second);
            mem_free(c);
        }
}
