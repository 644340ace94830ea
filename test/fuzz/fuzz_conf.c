/* fuzz_conf.c - any bytes as the settings file: either mistakes, a readable line each, or
 * settings in their ranges that a catalog can be made of. */
#include "base/address.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/settings.h"
#include "provider/catalog.h"

#include "script.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern char **environ;

static int  file;
static char path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    for (size_t i = 0; environ[i];) {
        char   name[64];
        size_t n = strcspn(environ[i], "=");

        snprintf(name, sizeof name, "%.*s", (int)n, environ[i]);
        if (n < sizeof name && strncmp(name, "RUNNEL_", 7) == 0)
            unsetenv(name);
        else
            i++;
    }
    setenv("SECRET", "5ecret", 1);
    setenv("NUMBER", "17", 1);
    setenv("NOTHING", "", 1);
    file = memfd_create("settings", MFD_CLOEXEC);
    MUST(file >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return 0;
}

static void write_file(const uint8_t *data, size_t size)
{
    MUST(ftruncate(file, 0) == 0);
    MUST(pwrite(file, data, size, 0) == (ssize_t)size);
}

static void check_mistakes(const struct buf *mistakes, struct str text)
{
    bool       known = memmem(text.p, text.n, "5ecret", 6) != NULL; /* from the file itself */
    struct str rest = buf_str(mistakes), line;

    MUST(mistakes->n > 0);
    MUST(mistakes->over || mistakes->p[mistakes->n - 1] == '\n');
    MUST_SAY(known || !memmem(mistakes->p, mistakes->n, "5ecret", 6),
             "a mistake shows a variable's value: %.*s", STR_ARG(buf_str(mistakes)));
    while (str_next(&rest, '\n', &line))
        MUST_SAY(line.n == 0 || memchr(line.p, ':', line.n), "%.*s", STR_ARG(line));
}

static void check_in_range(uint64_t v, uint64_t low, uint64_t high)
{
    MUST_SAY(v >= low && v <= high, "%llu", (unsigned long long)v);
}

static void check_http(const struct http_settings *h)
{
    check_in_range(h->max_connections, 1, 1000000);
    check_in_range(h->max_header_bytes, 1 << 10, 1 << 20);
    check_in_range(h->max_headers, 1, 1000);
    check_in_range(h->max_uri_bytes, 64, 1 << 20);
    check_in_range(h->max_body_bytes, 1 << 10, 1 << 30);
    check_in_range(h->header_timeout, 10 * CLOCK_MS, 3600 * CLOCK_S);
    check_in_range(h->linger_timeout, 10 * CLOCK_MS, 60 * CLOCK_S);
    MUST(h->request_id_header.n > 0 && h->request_id_header.p[h->request_id_header.n] == '\0');
    for (size_t i = 0; i < h->trusted_proxies.n; i++)
        MUST(address_is_block(h->trusted_proxies.items[i]));
    for (size_t i = 0; i < h->cors_origins.n; i++) {
        struct str o = h->cors_origins.items[i];

        MUST(o.n && (h->cors_origins.n == 1 || !str_eq(o, STR("*"))));
        for (size_t k = 0; k < o.n; k++)      /* it goes into a header          */
            MUST((unsigned char)o.p[k] > ' ' && (unsigned char)o.p[k] < 0x7f);
    }
}

static void check_catalog(struct settings *s)
{
    struct catalog *c = catalog_new(s);

    for (size_t i = 0; i < c->n_models; i++) {
        MUST(c->models[i].name.n > 0 && c->models[i].n_targets > 0);
        MUST_SAY(catalog_find(c, c->models[i].name) == &c->models[i], "two models of one name");
        for (size_t k = 0; k < c->models[i].n_targets; k++)
            MUST(c->models[i].targets[k].provider && c->models[i].targets[k].model.n > 0);
    }
    catalog_drop(c);                          /* and the settings with it       */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           before = mem_live_bytes();
    struct buf       mistakes = BUF(64 * 1024);
    struct settings *s;
    union address    at;

    write_file(data, size);
    s = settings_load(path, NULL, &mistakes);
    if (s) {
        MUST(mistakes.n == 0);
        MUST(address_read_endpoint(s->listen, &at));
        MUST(s->listen.p[s->listen.n] == '\0');
        check_in_range(s->drain_seconds, 0, 3600 * CLOCK_S);
        check_in_range(s->turns.max_running, 1, 1000000);
        check_in_range(s->stream.queue_bytes, 4 << 10, 64 << 20);
        check_http(&s->http);
        check_catalog(s);
    } else {
        check_mistakes(&mistakes, (struct str){ (const char *)data, size });
    }
    buf_release(&mistakes);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
