#include "provider/catalog.h"

#include "base/clock.h"
#include "base/mem.h"

static const struct provider_ops *const kinds[] = {
    [PROVIDER_ECHO] = &echo_provider, [PROVIDER_OPENAI] = &openai_provider
};

static void make_providers(struct catalog *c)
{
    const struct provider_settings *ps = c->settings->providers.items;
    size_t                          n = c->settings->providers.n;

    c->providers = arena_new(&c->arena, n * sizeof *c->providers);
    for (size_t i = 0; i < n; i++) {
        c->providers[i] = (struct provider){ .ops = kinds[ps[i].kind], .settings = &ps[i] };
        http_read_url(ps[i].base_url, &c->providers[i].base);
    }
}

static struct provider *find_provider(const struct catalog *c, struct str name)
{
    size_t i = 0;

    while (!str_eq(c->providers[i].settings->name, name))
        i++;                                  /* settings.c made sure it is there */
    return &c->providers[i];
}

static void make_model(struct catalog *c, struct model *m, const struct model_settings *ms)
{
    const struct target_settings *ts = ms->targets.items;

    m->name = ms->name;
    m->n_targets = ms->targets.n;
    m->targets = arena_new(&c->arena, m->n_targets * sizeof *m->targets);
    for (size_t i = 0; i < m->n_targets; i++) {
        m->targets[i].provider = find_provider(c, ts[i].provider);
        m->targets[i].model = ts[i].model.n ? ts[i].model : ms->name;
    }
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
