/* routing.h - which model answers a question that names none.
 *
 * Rules look at the question's text, in order; the first that fits says whether a local model
 * or one in the cloud is asked (settings: routing.rules). Each of the two stands in for the
 * other as long as nothing was said.
 */
#ifndef TURN_ROUTING_H
#define TURN_ROUTING_H

#include "base/settings.h"
#include "turn/offer.h"

#define ROUTING_AUTO "auto"                   /* the name of a model that routing chooses */

enum routing_side { ROUTING_ANY, ROUTING_LOCAL, ROUTING_CLOUD };

/* The first rule that fits; the last resort if none does. */
const struct routing_rule *routing_rule_for(const struct routing_settings *s, struct str text);

struct routing_wish {
    struct str        text;                   /* the question                   */
    enum routing_side side;                   /* ANY: as the rules say          */
    struct str        model;                  /* this one, if it may be used; or empty */
    bool (*may_use)(const void *who, struct str model);   /* NULL: any         */
    const void *who;
};

enum routing_why {
    ROUTING_BY_RULE,
    ROUTING_BY_SIDE,
    ROUTING_BY_NAME,
    ROUTING_INSTEAD,                          /* there is none on the side that was wanted */
};

struct routed {
    const struct model *model;                /* in the arena, or on offer      */
    enum routing_side   side;                 /* its own, not of who stands in  */
    enum routing_why    why;
    struct str          reason;               /* the rule's, in the arena       */
};

/* False: none of the models may be used. */
bool routing_choose(const struct routing_wish *w, struct arena *a, struct routed *out);

/* The model of that name on offer; for `auto`, unless one is called so, the one that the rules
 * choose. NULL: there is none, or it may not be used. */
const struct model *routing_named(struct str name, struct routing_wish wish, struct arena *a);

bool routing_has(enum routing_side side);     /* somebody is on it              */
bool routing_is_offered(void);                /* on both                        */

#endif
