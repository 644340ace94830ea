#include "turn/offer.h"

#include "provider/catalog.h"

static struct catalog *catalog;

void offer_use(struct catalog *c)
{
    if (catalog)
        catalog_drop(catalog);
    catalog = c;
}

struct catalog *offer_catalog(void)
{
    return catalog;
}

void offer_withdraw(void)
{
    offer_use(NULL);
}

const struct model *offer_find(struct str name)
{
    return catalog_find(catalog, name);
}

size_t offer_count(void)
{
    return catalog->n_models;
}

const struct model *offer_at(size_t i)
{
    return &catalog->models[i];
}

struct str offer_name(const struct model *m)
{
    return m->name;
}

struct str offer_owner(const struct model *m)
{
    return m->targets[0].provider->settings->name;
}

int64_t offer_created(void)
{
    return catalog->created;
}

enum model_class offer_class(const struct model *m)
{
    return m->class;
}

bool offer_has_price(const struct model *m)
{
    return m->prompt_price || m->completion_price;
}

bool offer_can(const struct model *m, enum asked asked)
{
    for (size_t i = 0; i < m->n_targets; i++)
        if (target_can(&m->targets[i], asked))
            return true;
    return false;
}
