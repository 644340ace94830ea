#include "provider/catalog.h"

#include "base/clock.h"
#include "base/mem.h"
#include "wire/base64.h"

#include <stdio.h>
#include <string.h>

static const struct provider_ops *const kinds[] = {
    [PROVIDER_ECHO] = &echo_provider,           [PROVIDER_OPENAI] = &openai_provider,
    [PROVIDER_DASHSCOPE] = &dashscope_provider, [PROVIDER_SPARK] = &spark_provider,
    [PROVIDER_ANTHROPIC] = &anthropic_provider, [PROVIDER_OLLAMA] = &ollama_provider,
};

/* ---- the way to a provider ----------------------------------------------------------- */

/* http://[user:password@]host:port. Escapes are undone; where one is wrong there are none. */
static bool read_proxy(struct str url, struct arena *a, struct way *w)
{
    struct http_url proxy;
    struct str      rest = str_from(url, STR("http://").n), user = { NULL, 0 }, decoded;
    const char     *at = memrchr(rest.p, '@', rest.n);
    struct buf      plain = BUF(4096), code = BUF(8192);

    if (at) {
        user = (struct str){ rest.p, (size_t)(at - rest.p) };
        rest = str_from(rest, user.n + 1);
        if (http_decode(user, a, &decoded))
            user = decoded;
    }
    buf_lit(&plain, "http://");
    buf_add(&plain, rest);
    base64_encode(user, &code);
    w->proxy_credentials = arena_str(a, buf_str(&code));
    url = arena_str(a, buf_str(&plain));
    buf_release(&plain);
    buf_release(&code);
    if (!http_read_url(url, &proxy) || proxy.path.n)
        return false;
    w->proxy_host = proxy.host;
    w->proxy_port = proxy.port;
    return true;
}

/* NULL, or what is wrong with these settings; `key` is then the one to mend. */
static const char *make_way(struct provider *p, struct arena *a, const char **key)
{
    static char                     why[TLS_WHY_MAX];
    const struct provider_settings *s = p->settings;
    struct way                     *w = &p->way;

    if (s->kind == PROVIDER_ECHO)
        return NULL;
    *key = "base_url";
    if (!http_read_url(s->base_url, &p->base))
        return "this address cannot be read";
    *w = (struct way){ .host = p->base.host,
                       .port = p->base.port,
                       .is_secure = p->base.is_secure,
                       .connect_timeout = s->connect_timeout,
                       .tls_timeout = s->tls_timeout };
    *key = "proxy";
    if (s->proxy.n && !read_proxy(s->proxy, a, w))
        return "this address cannot be read";
    *key = "ca_file";
    if (w->is_secure && !(w->trust = tls_trust_hold(s->ca_file, why)))
        return why;
    w->memory = w->is_secure ? tls_memory_new() : NULL;
    return NULL;
}

static void forget_way(struct provider *p)
{
    tls_trust_drop(p->way.trust);
    tls_memory_drop(p->way.memory);
}

void catalog_find_mistakes(const struct settings *s, const char *file, struct buf *mistakes)
{
    const struct provider_settings *ps = s->providers.items;
    struct arena                    arena = { NULL };
    struct conf_load                load = { .file = file, .mistakes = mistakes };
    char                            key[80];

    for (size_t i = 0; i < s->providers.n; i++) {
        struct provider p = { .settings = &ps[i] };
        const char     *member, *why = make_way(&p, &arena, &member);

        if (why) {
            snprintf(key, sizeof key, "providers[%zu].%s", i, member);
            conf_mistake(&load, ps[i].line, key, "%s", why);
        }
        forget_way(&p);
    }
    arena_release(&arena);
}

/* ---- a generation ---------------------------------------------------------------------- */

/* A standing that another generation of settings has too gets the newest limits. */
static struct standing *hold_standing(const struct catalog *c, const struct provider *p,
                                      struct str model, uint64_t max_streams)
{
    struct standing *s = standing_hold(p->settings->name, model);

    gate_configure(&s->gate, max_streams ? max_streams : UINT64_MAX, p->settings->max_waiting,
                   c->settings->turns.max_wait);
    return s;
}

static void make_keys(struct provider *p, struct arena *a)
{
    const struct provider_settings *s = p->settings;

    p->n_keys = 1 + s->more_keys.n;
    p->keys = arena_new(a, p->n_keys * sizeof *p->keys);
    p->keys[0].text = s->api_key;
    for (size_t i = 0; i < s->more_keys.n; i++)
        p->keys[1 + i].text = s->more_keys.items[i];
}

static void make_providers(struct catalog *c)
{
    const struct provider_settings *ps = c->settings->providers.items;
    const char                     *key;

    c->n_providers = c->settings->providers.n;
    c->providers = arena_new(&c->arena, c->n_providers * sizeof *c->providers);
    for (size_t i = 0; i < c->n_providers; i++) {
        c->providers[i] = (struct provider){ .ops = kinds[ps[i].kind], .settings = &ps[i] };
        make_way(&c->providers[i], &c->arena, &key);
        c->providers[i].standing = hold_standing(c, &c->providers[i], STR(""), ps[i].max_streams);
        make_keys(&c->providers[i], &c->arena);
    }
}

void provider_write_headers(const struct provider *p, struct buf *out)
{
    const struct conf_texts *fields = &p->settings->headers;

    for (size_t i = 0; i < fields->n; i++)
        buf_addf(out, "%.*s\r\n", STR_ARG(fields->items[i]));
}

static struct provider *find_provider(const struct catalog *c, struct str name)
{
    size_t i = 0;

    while (!str_eq(c->providers[i].settings->name, name))
        i++;                                  /* settings.c made sure it is there */
    return &c->providers[i];
}

static void make_target(const struct catalog *c, struct target *t, const struct target_settings *ts,
                        struct str model)
{
    t->provider = find_provider(c, ts->provider);
    t->model = ts->model.n ? ts->model : model;
    t->weight = ts->weight;
    t->standing = hold_standing(c, t->provider, t->model, ts->max_streams);
}

static void make_model(struct catalog *c, struct model *m, const struct model_settings *ms)
{
    const struct target_settings *ts = ms->targets.items;

    m->name = ms->name;
    m->class = (enum model_class)ms->class;
    m->tools = ms->tools;
    m->tenant_tools = ms->tenant_tools;
    m->n_targets = ms->targets.n;
    m->context_tokens = ms->context_tokens;
    m->compacts = ms->compact;
    m->prompt_price = settings_price(ms->prompt_price);
    m->completion_price = settings_price(ms->completion_price);
    m->targets = arena_new(&c->arena, m->n_targets * sizeof *m->targets);
    for (size_t i = 0; i < m->n_targets; i++)
        make_target(c, &m->targets[i], &ts[i], ms->name);
}

/* Those that stand in get no share of the first questions. */
const struct model *model_backed(const struct model *m, const struct model *other, struct arena *a)
{
    struct model *both = arena_new(a, sizeof *both);

    *both = *m;
    both->n_targets = m->n_targets + other->n_targets;
    both->targets = arena_new(a, both->n_targets * sizeof *both->targets);
    for (size_t i = 0; i < m->n_targets; i++)
        both->targets[i] = m->targets[i];
    for (size_t i = 0; i < other->n_targets; i++) {
        struct target *t = &both->targets[m->n_targets + i];

        *t = other->targets[i];
        t->weight = 0;
        t->stands_in = other;
    }
    return both;
}

bool target_can(const struct target *t, enum asked asked)
{
    return asked == ASKED_CHAT || t->provider->ops->gives_embeddings;
}

bool target_takes(const struct target *t, const struct question *q)
{
    const struct provider *p = t->provider;

    return target_can(t, q->asked) && (!p->ops->takes || p->ops->takes(p, q));
}

bool target_has_room(const struct target *t)
{
    return gate_has_room(&t->standing->gate) && gate_has_room(&t->provider->standing->gate);
}

struct catalog *catalog_new(struct settings *s)
{
    struct catalog              *c = mem_new(sizeof *c);
    const struct model_settings *ms = s->models.items;

    c->settings = s;
    c->owners = 1;
    c->created = clock_wall_ms() / 1000;
    make_providers(c);
    c->n_models = s->models.n;
    c->models = arena_new(&c->arena, c->n_models * sizeof *c->models);
    for (size_t i = 0; i < c->n_models; i++)
        make_model(c, &c->models[i], &ms[i]);
    return c;
}

struct catalog *catalog_retain(struct catalog *c)
{
    c->owners++;
    return c;
}

void catalog_drop(struct catalog *c)
{
    if (--c->owners)
        return;
    for (size_t i = 0; i < c->n_models; i++)
        for (size_t j = 0; j < c->models[i].n_targets; j++)
            standing_drop(c->models[i].targets[j].standing);
    for (size_t i = 0; i < c->n_providers; i++) {
        standing_drop(c->providers[i].standing);
        forget_way(&c->providers[i]);
    }
    arena_release(&c->arena);
    settings_free(c->settings);
    mem_free(c);
}

const struct model *catalog_find(const struct catalog *c, struct str name)
{
    for (size_t i = 0; i < c->n_models; i++)
        if (str_eq(c->models[i].name, name))
            return &c->models[i];
    return NULL;
}
