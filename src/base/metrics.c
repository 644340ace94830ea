#include "base/metrics.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum kind { COUNTER, GAUGE, LONGEST, HISTOGRAM };

static const struct {
    enum kind   kind;
    const char *name, *labels, *help;
} table[] = {
#define X(id, kind, name, labels, help) { kind, name, labels, help },
    METRICS(X)
#undef X
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

enum { CHILDREN = 1024, FIRST_SIZE = 80, SECOND_SIZE = 24 };

/* A labelled metric's children are a chain through one array: there are a few dozen. */
struct child {
    unsigned next;                            /* 0: the last; else its place, from 1 on */
    char     first[FIRST_SIZE], second[SECOND_SIZE];
    int64_t  value;
};

struct figure {
    int64_t     value;                        /* histograms: how many           */
    uint64_t    sum_ns;
    uint64_t    buckets[BOUNDS + 1];          /* not cumulative; the last: beyond all */
    atomic_uint children;
};

/* One process writes, others may read: a child is in its chain when it is complete. */
struct page {
    int64_t       pid;
    struct figure figures[METRIC_COUNT];
    atomic_uint   used;
    struct child  children[CHILDREN];
};

static struct page  alone;
static struct page *pages = &alone, *page = &alone;
static size_t       n_pages = 1;

/* ---- counting ------------------------------------------------------------------------ */

void metric_add(enum metric m, int64_t n)
{
    page->figures[m].value += n;
}

void metric_set(enum metric m, int64_t value)
{
    page->figures[m].value = value;
}

int64_t metric_value(enum metric m)
{
    return page->figures[m].value;
}

void metric_longest(enum metric m, uint64_t ns)
{
    if ((int64_t)ns > page->figures[m].value)
        page->figures[m].value = (int64_t)ns;
}

static struct child *find_child(struct page *p, enum metric m, const char *first,
                                const char *second)
{
    for (unsigned i = atomic_load(&p->figures[m].children); i; i = p->children[i - 1].next) {
        struct child *c = &p->children[i - 1];

        if (strncmp(c->first, first, FIRST_SIZE - 1) == 0 &&
            strncmp(c->second, second, SECOND_SIZE - 1) == 0)
            return c;
    }
    return NULL;
}

static struct child *new_child(struct page *p, enum metric m, const char *first, const char *second)
{
    unsigned      i = atomic_load(&p->used);
    struct child *c = &p->children[i];

    if (i == CHILDREN)
        return NULL;
    snprintf(c->first, sizeof c->first, "%s", first);
    snprintf(c->second, sizeof c->second, "%s", second);
    c->value = 0;
    c->next = atomic_load(&p->figures[m].children);
    atomic_store(&p->used, i + 1);
    atomic_store(&p->figures[m].children, i + 1);
    return c;
}

static void add_to_child(struct page *p, enum metric m, const struct child *what)
{
    struct child *c = find_child(p, m, what->first, what->second);

    if (!c)
        c = new_child(p, m, what->first, what->second);
    if (c)
        c->value += what->value;
}

void metric_add_labelled(enum metric m, const char *first, const char *second)
{
    struct child *c = find_child(page, m, first, second);

    if (!c)
        c = new_child(page, m, first, second);
    if (c)
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
    page->figures[m].buckets[low]++;
    page->figures[m].sum_ns += ns;
    page->figures[m].value++;
}

/* ---- several processes ------------------------------------------------------------------ */

size_t metrics_page_size(void)
{
    return sizeof(struct page);
}

void metrics_share(void *memory, size_t n)
{
    pages = memory;
    n_pages = n;
}

void metrics_use(size_t i)
{
    page = &pages[i];
    page->pid = getpid();
}

void metrics_retire(size_t i)
{
    pages[i].pid = 0;
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        if (table[m].kind == GAUGE)
            pages[i].figures[m].value = 0;
}

bool metrics_process(size_t i, int64_t *pid)
{
    if (i >= n_pages)
        return false;
    *pid = pages == &alone ? getpid() : pages[i].pid;
    return true;
}

static void add_figure(struct page *to, const struct page *from, enum metric m)
{
    struct figure       *f = &to->figures[m];
    const struct figure *g = &from->figures[m];

    if (table[m].kind != LONGEST)
        f->value += g->value;
    else if (g->value > f->value)
        f->value = g->value;
    f->sum_ns += g->sum_ns;
    for (size_t i = 0; i <= BOUNDS; i++)
        f->buckets[i] += g->buckets[i];
    for (unsigned i = atomic_load(&g->children); i; i = from->children[i - 1].next)
        add_to_child(to, m, &from->children[i - 1]);
}

static void add_page(struct page *to, const struct page *from)
{
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        add_figure(to, from, m);
}

int64_t metric_total(enum metric m)
{
    int64_t n = 0;

    for (size_t i = 0; i < n_pages; i++)
        n += pages[i].figures[m].value;
    return n;
}

/* ---- the text ------------------------------------------------------------- */

static void write_children(struct buf *out, const struct page *p, enum metric m)
{
    struct str labels = str_of(table[m].labels), first, second = { NULL, 0 };

    str_next(&labels, ',', &first);
    str_next(&labels, ',', &second);
    for (unsigned i = atomic_load(&p->figures[m].children); i; i = p->children[i - 1].next) {
        const struct child *c = &p->children[i - 1];

        buf_addf(out, "%s{%.*s=\"%s\"", table[m].name, STR_ARG(first), c->first);
        if (second.n)
            buf_addf(out, ",%.*s=\"%s\"", STR_ARG(second), c->second);
        buf_addf(out, "} %lld\n", (long long)c->value);
    }
}

static void write_histogram(struct buf *out, const struct figure *f, const char *name)
{
    unsigned long long sum = 0;

    for (size_t i = 0; i < BOUNDS; i++) {
        sum += f->buckets[i];
        buf_addf(out, "%s_bucket{le=\"%s\"} %llu\n", name, bounds[i].le, sum);
    }
    sum += f->buckets[BOUNDS];
    buf_addf(out, "%s_bucket{le=\"+Inf\"} %llu\n", name, sum);
    buf_addf(out, "%s_sum %.6f\n", name, (double)f->sum_ns / 1e9);
    buf_addf(out, "%s_count %llu\n", name, sum);
}

static void write_page(struct buf *out, const struct page *p)
{
    static const char *const kinds[] = { "counter", "gauge", "gauge", "histogram" };

    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        const struct figure *f = &p->figures[m];

        buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", table[m].name, table[m].help, table[m].name,
                 kinds[table[m].kind]);
        if (table[m].labels[0])
            write_children(out, p, m);
        else if (table[m].kind == HISTOGRAM)
            write_histogram(out, f, table[m].name);
        else if (table[m].kind == LONGEST)
            buf_addf(out, "%s %.6f\n", table[m].name, (double)f->value / 1e9);
        else
            buf_addf(out, "%s %lld\n", table[m].name, (long long)f->value);
    }
}

void metrics_write(struct buf *out)
{
    struct page *sum;

    if (n_pages == 1) {
        write_page(out, page);
        return;
    }
    sum = mem_new(sizeof *sum);
    for (size_t i = 0; i < n_pages; i++)
        add_page(sum, &pages[i]);
    write_page(out, sum);
    mem_free(sum);
}

void metrics_release(void)
{
    if (pages != &alone)
        return;
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        atomic_store(&alone.figures[m].children, 0);
    atomic_store(&alone.used, 0);
}
