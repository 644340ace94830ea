#include "api/dbgpt_visit.h"

#include "api/api.h"
#include "api/dbgpt_answer.h"

#include <stdio.h>

struct visit *dbgpt_visit_new(struct http_exchange *x)
{
    if (api_store())
        return visit_new(x, "dbgpt");
    dbgpt_raise(x, 503, "conversations need a database, and this service has none", "no_database");
    return NULL;
}

void dbgpt_visit_answer(struct visit *v, struct str data)
{
    dbgpt_answer(v->x, data);
    visit_end(v);
}

/* Nobody learns whether a conversation that is not his is there. */
void dbgpt_visit_fail(struct visit *v, enum store_end end)
{
    if (end == STORE_NOT_FOUND || end == STORE_CONFLICT)
        dbgpt_fail(v->x, "E0003", STR("the conversation is not there"), "no_chat");
    else if (end == STORE_REFUSED)
        dbgpt_fail(v->x, "E0003",
                   STR("a name is longer than 200 characters or holds what cannot be kept"),
                   "not_accepted");
    else
        dbgpt_raise(v->x, 503, "the database is away; please ask again in a moment", "no_database");
    visit_end(v);
}

void dbgpt_visit_refuse(struct visit *v, const char *where, const char *what)
{
    char text[300];
    int  n = snprintf(text, sizeof text, "%s:%s;", where, what);

    dbgpt_fail(v->x, "E0001", (struct str){ text, (size_t)n }, "invalid_request_error");
    visit_end(v);
}
