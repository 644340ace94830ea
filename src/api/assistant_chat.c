/* assistant_chat.c - POST /api/v1/chat and /api/v1/chat/stream: body ---> assistant_ask.h. */
#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_ask.h"
#include "api/assistant_dialect.h"
#include "api/assistant_visit.h"
#include "api/once.h"
#include "api/sse_sink.h"
#include "api/whole_sink.h"

static struct sink *make_sink(struct asking *a)
{
    const struct settings  *s = api_settings();
    bool                    has_events = a->takes_events || s->assistant.event_stream;
    const struct dialect   *d = has_events ? &assistant_dialect_events : &assistant_dialect_plain;
    struct assistant_state *state = assistant_state_new(a->wish.session, &a->choice);

    a->visit->x->logged = true;               /* the turn has a line of its own */
    state->done_marker = s->assistant.done_marker != 0;
    return a->streams ? sse_sink_new(a->visit->x, d, state, &s->stream)
                      : whole_sink_new(a->visit->x, d, state);
}

static const struct assistant_door door = { .make_sink = make_sink,
                                            .refuse = assistant_visit_refuse };

/* ---- the request --------------------------------------------------------------------------- */

static bool takes_events(const struct http_reader *rq)
{
    struct str rest = http_reader_header(rq, STR("accept")), one;

    while (str_next(&rest, ',', &one))
        if (str_eq_nocase(str_trim((struct str){ one.p, str_find(one, ';') }),
                          STR("text/event-stream")))
            return true;
    return false;
}

static void ask(struct http_exchange *x, const struct http_reader *rq, struct question *q,
                const struct assistant_wish *wish, bool streams)
{
    struct asking *a = assistant_asking_new(assistant_visit_new(x), q, wish, &door);
    const char    *why;

    a->streams = streams;
    a->takes_events = takes_events(rq);
    if (once_read(x, rq, &q->arena, &a->keeping, &why))
        assistant_ask(a);
    else
        assistant_visit_refuse(a->visit, 400, why);
}

static void serve(struct http_exchange *x, const struct http_reader *rq, bool streams)
{
    struct assistant_problem problem = { "body", "" };
    struct assistant_wish    wish;
    struct json_doc         *doc = json_read(http_reader_body(rq), &problem.reason);
    struct question         *q = NULL;

    if (doc)
        q = assistant_read_question(json_root(doc), api_settings()->assistant.max_tokens, &wish,
                                    &problem);
    json_free(doc);
    if (q)
        ask(x, rq, q, &wish, streams);
    else
        assistant_refuse_value(x, &problem);
}

void assistant_serve_chat(struct http_exchange *x, const struct http_reader *rq)
{
    serve(x, rq, false);
}

void assistant_serve_stream(struct http_exchange *x, const struct http_reader *rq)
{
    serve(x, rq, true);
}
