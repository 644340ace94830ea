/* offer.h - the models on offer: what the layers above may know of providers. */
#ifndef TURN_OFFER_H
#define TURN_OFFER_H

#include "base/settings.h"
#include "chat/question.h"

#include <stdint.h>

struct catalog;
struct model;

/* From now on new turns are answered from this catalog, which the offer owns. */
void            offer_use(struct catalog *c);
struct catalog *offer_catalog(void);
void            offer_withdraw(void);         /* at the very end                */

const struct model *offer_find(struct str name);              /* NULL: no such model */
size_t              offer_count(void);
const struct model *offer_at(size_t i);
struct str          offer_name(const struct model *m);
struct str          offer_owner(const struct model *m);       /* its first provider  */
enum model_class    offer_class(const struct model *m);
bool                offer_can(const struct model *m, enum asked asked);
bool                offer_has_price(const struct model *m);
int64_t             offer_created(void);                      /* wall seconds        */

#endif
