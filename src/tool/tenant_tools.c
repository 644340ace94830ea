/* tenant_tools.c - a shelf for each tenant that was asked for:
 *
 *     empty or old -> reading -> fresh -> old ...
 *                        |
 *                        v
 *                      late (nobody waits any more) -> fresh
 *
 * Whatever goes wrong leaves on the shelf what was there.
 */
#include "tool/tenant_tools.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/tls.h"
#include "store/tools.h"
#include "tool/http_tool.h"

#include <string.h>

enum {
    BUCKETS = 256,
    SHELVES_MAX = 1000,
    PATIENCE_MS = 1000,
    RETRY_MS = 1000,
    QUIET_S = 1,
    HEADERS_MAX = 100,
    WORDS_MAX_BYTES = 16 * 1024,
};

struct brought {
    struct tool *tool;
    bool         is_for_all;
    struct str   models;                      /* else for these, a line each    */
};

struct shelf {
    struct link       in_bucket, by_age;
    int32_t           tenant;
    struct tools_call call;
    struct deadline   patience;
    struct list       asks;
    uint64_t          until;                  /* it is fresh                    */
    bool              is_known;               /* it was read once               */
    unsigned char     digest[SHA256_BYTES];   /* of what was read               */
    struct arena      arena;                  /* owns what is on it             */
    struct brought   *tools;
    size_t            n;
};

static struct {
    struct store     *store;                  /* NULL: nobody wants to know     */
    uint64_t          cache;                  /* ns                             */
    struct tls_trust *trust;                  /* held, so that no turn reads files */
    uint64_t          quiet_until;
} here;

static struct list buckets[BUCKETS];
static struct list all = { .head = { &all.head, &all.head } };        /* the oldest first */

/* ---- shelves ----------------------------------------------------------------------------- */

static struct list *bucket_of(int32_t tenant)
{
    struct list *l = &buckets[(uint32_t)tenant % BUCKETS];

    if (!l->head.next)
        list_init(l);
    return l;
}

static struct shelf *shelf_find(int32_t tenant)
{
    LIST_EACH(bucket_of(tenant), k) {
        struct shelf *s = LIST_OWNER(k, struct shelf, in_bucket);

        if (s->tenant == tenant)
            return s;
    }
    return NULL;
}

static void clear(struct shelf *s)
{
    for (size_t i = 0; i < s->n; i++)
        tool_drop(s->tools[i].tool);
    s->n = 0;
    arena_release(&s->arena);
}

static void shelf_free(struct shelf *s)
{
    verb_drop(&s->call.verb);
    deadline_disarm(&s->patience);
    while (s->asks.n)
        tenant_tools_leave(LIST_OWNER(list_first(&s->asks), struct tenant_ask, link));
    list_take(bucket_of(s->tenant), &s->in_bucket);
    list_take(&all, &s->by_age);
    clear(s);
    mem_free(s);
}

/* One that nobody waits for. */
static void make_room(void)
{
    LIST_EACH(&all, k) {
        struct shelf *s = LIST_OWNER(k, struct shelf, by_age);

        if (s->asks.n == 0) {
            shelf_free(s);
            return;
        }
    }
}

/* ---- what goes wrong --------------------------------------------------------------------- */

static void complain(const struct shelf *s, const char *why)
{
    if (clock_now() < here.quiet_until)
        return;
    here.quiet_until = clock_now() + QUIET_S * CLOCK_S;
    LOG(LOG_WARN, L_MSG("a tenant's tools cannot be read"), L_INT("tenant", s->tenant),
        L_TEXT("why", why), L_TEXT("known", s->is_known ? "those of before" : "none"));
}

static void leave_out(const struct shelf *s, const struct kept_tool *k, struct str mistakes)
{
    struct str first = STR("it will not do");

    str_next(&mistakes, '\n', &first);
    LOG(LOG_WARN, L_MSG("a tenant's tool is left out"), L_INT("tenant", s->tenant),
        L_STR("tool", k->name), L_STR("why", first));
}

/* ---- what was read ----------------------------------------------------------------------- */

static struct conf_texts read_headers(struct str lines, struct arena *a)
{
    struct str *items = arena_new(a, HEADERS_MAX * sizeof *items);
    size_t      n = 0;

    while (n < HEADERS_MAX && str_next(&lines, '\n', &items[n]))
        n += items[n].n > 0;
    return (struct conf_texts){ items, n };
}

/* Who can write into the table could have written anything. */
static bool read_tool(const struct kept_tool *k, const struct conf_load *load,
                      struct tool_settings *t)
{
    const struct conf_given given[] = {
        { .name = "name", .called = "name", .text = k->name },
        { .name = "description", .called = "description", .text = k->description },
        { .name = "method", .called = "method", .text = k->method },
        { .name = "url", .called = "url", .text = k->url },
        { .name = "parameters", .called = "parameters", .text = k->parameters },
        { .name = "timeout", .called = "timeout_ms", .text = k->timeout },
        { .name = "max_output_bytes", .called = "max_output_bytes", .text = k->max_output },
        { .name = "alone", .called = "runs_alone", .text = k->alone },
        { .name = "headers", .called = "headers", .texts = read_headers(k->headers, load->arena) },
    };

    return settings_read_tenant_tool(load, given, sizeof given / sizeof *given, t);
}

static void put(struct shelf *s, const struct kept_tool *k)
{
    struct arena         a = { NULL };
    struct buf           mistakes = BUF(WORDS_MAX_BYTES);
    struct conf_load     load = { .arena = &a, .file = "database", .mistakes = &mistakes };
    struct tool_settings t = { .line = 0 };

    if (read_tool(k, &load, &t))
        s->tools[s->n++] = (struct brought){ .tool = http_tool_new(&t),
                                             .is_for_all = k->is_for_all,
                                             .models = arena_str(&s->arena, k->models) };
    else
        leave_out(s, k, buf_str(&mistakes));
    buf_release(&mistakes);
    arena_release(&a);
}

/* Mostly nothing has changed. */
static void fill(struct shelf *s)
{
    const struct tools_call *c = &s->call;

    if (s->is_known && memcmp(s->digest, c->digest, SHA256_BYTES) == 0)
        return;
    clear(s);
    s->tools = arena_new(&s->arena, c->n * sizeof *s->tools);
    for (size_t i = 0; i < c->n; i++)
        put(s, &c->tools[i]);
    memcpy(s->digest, c->digest, SHA256_BYTES);
    s->is_known = true;
}

/* ---- reading ------------------------------------------------------------------------------- */

static void let_go(struct shelf *s)
{
    struct link *k;

    while ((k = list_pop(&s->asks))) {
        struct tenant_ask *a = LIST_OWNER(k, struct tenant_ask, link);

        a->shelf = NULL;
        a->done(a);
    }
}

static void on_read(struct verb *v)
{
    struct shelf *s = LIST_OWNER(v, struct shelf, call.verb);

    deadline_disarm(&s->patience);
    if (v->end == STORE_OK) {
        fill(s);
        s->until = clock_now() + here.cache;
    } else {
        complain(s, v->why);
        s->until = clock_now() + RETRY_MS * CLOCK_MS;
    }
    verb_drop(v);
    let_go(s);
}

static void on_late(struct deadline *d)
{
    struct shelf *s = LIST_OWNER(d, struct shelf, patience);

    complain(s, "the database takes too long");
    let_go(s);
}

static void read_again(struct shelf *s)
{
    s->call.verb.done = on_read;
    s->patience.run = on_late;
    deadline_arm(&s->patience, clock_now() + PATIENCE_MS * CLOCK_MS);
    tools_of_tenant(here.store, &s->call, s->tenant);
}

static struct shelf *shelf_new(int32_t tenant)
{
    struct shelf *s = mem_new(sizeof *s);

    if (all.n >= SHELVES_MAX)
        make_room();
    s->tenant = tenant;
    list_init(&s->asks);
    list_push(bucket_of(tenant), &s->in_bucket);
    list_push(&all, &s->by_age);
    return s;
}

static bool is_late(const struct shelf *s)
{
    return s->call.verb.work && !deadline_is_armed(&s->patience);
}

/* Nobody waits for a database of which we know that it is away. */
static bool has_to_do(struct shelf *s)
{
    if (!s->is_known || store_is_ready(here.store))
        return false;
    complain(s, store_why(here.store));
    s->until = clock_now() + RETRY_MS * CLOCK_MS;
    return true;
}

/* ---- who asks ------------------------------------------------------------------------------ */

bool tenant_tools_ask(struct tenant_ask *a, int32_t tenant)
{
    struct shelf *s;

    if (!here.store)
        return true;
    s = shelf_find(tenant);
    if (!s)
        s = shelf_new(tenant);
    if (clock_now() < s->until || is_late(s) || (!s->call.verb.work && has_to_do(s)))
        return true;
    if (!s->call.verb.work)
        read_again(s);
    a->shelf = s;
    list_push(&s->asks, &a->link);
    return false;
}

void tenant_tools_leave(struct tenant_ask *a)
{
    if (a->shelf)
        list_take(&a->shelf->asks, &a->link);
    a->shelf = NULL;
}

static bool is_for(const struct brought *b, struct str model)
{
    struct str rest = b->models, line;
    bool       is = b->is_for_all;

    while (!is && str_next(&rest, '\n', &line))
        is = line.n && str_eq(line, model);
    return is;
}

void tenant_tools_pick(struct toolset *set, int32_t tenant, struct str model)
{
    const struct shelf *s = here.store ? shelf_find(tenant) : NULL;

    for (size_t i = 0; s && i < s->n && set->n < TOOLSET_MAX; i++)
        if (is_for(&s->tools[i], model))
            toolset_add(set, s->tools[i].tool);
}

/* ---- settings ------------------------------------------------------------------------------ */

static bool is_wanted(const struct settings *s)
{
    const struct model_settings *m = s->models.items;

    for (size_t i = 0; i < s->models.n; i++)
        if (m[i].tenant_tools)
            return true;
    return false;
}

void tenant_tools_use(const struct settings *s, struct store *store)
{
    struct tls_trust *old = here.trust;
    char              ignored[TLS_WHY_MAX];

    here.store = is_wanted(s) ? store : NULL;
    here.cache = s->access.cache;
    here.trust = here.store ? tls_trust_hold(STR(""), ignored) : NULL;
    tls_trust_drop(old);                      /* last: it is not read again     */
}

void tenant_tools_release(void)
{
    while (all.n)
        shelf_free(LIST_OWNER(list_first(&all), struct shelf, by_age));
    tls_trust_drop(here.trust);
    here.trust = NULL;
    here.store = NULL;
}
