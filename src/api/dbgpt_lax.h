/* dbgpt_lax.h - members as pydantic reads them: "true" and 1 are true, "0.7" is a number.
 *
 * What does not fit is told in its words: "body.stream:Input should be a valid boolean;".
 */
#ifndef API_DBGPT_LAX_H
#define API_DBGPT_LAX_H

#include "base/arena.h"
#include "base/json.h"

struct lax {
    const struct json *body;
    struct buf        *mistakes;              /* empty: there are none          */
};

void lax_mistake(const struct lax *l, struct str where, const char *what);

/* Absent and null leave *out as it is. */
void lax_str(const struct lax *l, const char *name, struct arena *a, struct str *out);
void lax_bool(const struct lax *l, const char *name, bool *out);
void lax_int(const struct lax *l, const char *name, int64_t *out);

/* Writes ,"name":number behind `out`, unless it is absent. */
void lax_number(const struct lax *l, const char *name, struct buf *out);

/* From a text, as a query has it. */
bool lax_read_int(struct str text, int64_t *out);

#endif
