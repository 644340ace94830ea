/* catalog.h - who answers for which model: one generation of settings, made ready.
 *
 * A turn begins with one catalog and ends with the same one, while a reload may
 * bring the next in between. That is why catalogs are counted: the last turn of an
 * old generation is its last owner, and it may end minutes after the reload.
 */
#ifndef PROVIDER_CATALOG_H
#define PROVIDER_CATALOG_H

#include "provider/provider.h"
#include "provider/standing.h"

struct target {
    struct provider *provider;
    struct str       model;                   /* its name at the provider       */
    uint64_t         weight;
    struct standing *standing;

    const struct model *stands_in;            /* it is this model's, and another was asked; or NULL */
};

bool target_can(const struct target *t, enum asked asked);
bool target_takes(const struct target *t, const struct question *q);      /* and can */

/* Who is asked now need not wait in its line or its provider's. */
bool target_has_room(const struct target *t);

struct model {
    struct str name;
    enum model_class class;
    struct target    *targets;
    size_t            n_targets;
    struct conf_texts tools;                  /* names of those it may use      */
    bool              tenant_tools;           /* and those of its asker's tenant */
    uint64_t          context_tokens;         /* 0: not known                   */
    bool              compacts;               /* also what clients bring        */
    uint64_t          prompt_price, completion_price; /* millionths for a million tokens */
};

/* The one whose targets, when they fail, are followed by the other's. It lives in the arena, and
 * no longer than their catalog. */
const struct model *model_backed(const struct model *m, const struct model *other, struct arena *a);

struct catalog {
    struct settings *settings;                /* owned                          */
    struct arena     arena;
    struct provider *providers;
    size_t           n_providers;
    struct model    *models;
    size_t           n_models;
    int64_t          created;                 /* wall seconds                   */
    size_t           owners;
};

/* What settings.c cannot see: whether addresses can be read and certificates are there. */
void catalog_find_mistakes(const struct settings *s, const char *file, struct buf *mistakes);

struct catalog     *catalog_new(struct settings *s);  /* takes the settings; one owner */
struct catalog     *catalog_retain(struct catalog *c);
void                catalog_drop(struct catalog *c);
const struct model *catalog_find(const struct catalog *c, struct str name);

#endif
