/* dbgpt_chat.c - POST /api/v2/chat/completions: DB-GPT's own door, mode chat_normal.
 *
 *     body ---> its mode ---> its model ---> its conversation ---> its turn (turn/turn.h)
 */
#include "api/dbgpt_chat.h"

#include "api/api.h"
#include "api/dbgpt_answer.h"
#include "api/dbgpt_dialect.h"
#include "api/dbgpt_visit.h"
#include "api/guard.h"
#include "api/once.h"
#include "api/sse_sink.h"
#include "api/whole_sink.h"
#include "base/id.h"
#include "base/utf8.h"
#include "turn/turn.h"

#include <stdio.h>

enum { TITLE_CHARACTERS = 250, RANDOM_LETTERS = 32, MISTAKES_MAX = 16 << 10 };

/* Lives in its question. */
struct asking {
    struct http_exchange *x;
    struct question      *question;
    const struct model   *model;
    struct dbgpt_wish     wish;
    struct turn_keeping   keeping;
};

/* ---- the turn -------------------------------------------------------------------------------- */

static struct sink *make_sink(const struct asking *a)
{
    const struct settings *s = api_settings();
    struct dbgpt_state    *state = dbgpt_state_new(a->question->model, a->wish.conv_uid);

    state->is_incremental = a->wish.incremental;
    state->has_objects = s->dbgpt.incremental_form == DBGPT_JSON && !a->wish.is_page;
    state->has_extra_members = s->dbgpt.extra_members != 0;
    if (a->wish.stream)
        return sse_sink_new(a->x, a->wish.is_page ? &dbgpt_page_dialect : &dbgpt_dialect, state,
                            &s->stream);
    return whole_sink_new(a->x, &dbgpt_whole_dialect, state);
}

static void start_turn(struct asking *a, const struct turn_keeping *keeping)
{
    const struct route *route = a->x->route;

    a->x->logged = true;                      /* the turn has a line of its own */
    turn_start(&(struct turn_order){ .question = a->question,
                                     .model = a->model,
                                     .sink = make_sink(a),
                                     .asker = guard_asker(a->x),
                                     .route = route->path,
                                     .request_id = str_of(a->x->id),
                                     .client = str_of(a->x->client),
                                     .keeping = keeping,
                                     .on_leave = (enum leaving)api_settings()->dbgpt.on_leave });
}

/* ---- its conversation ------------------------------------------------------------------------- */

static void release_asking(struct visit *v)
{
    struct asking *a = v->ctx;

    question_free(a->question);
}

static void on_chat(struct verb *verb)
{
    struct visit  *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct asking *a = v->ctx;

    if (verb->end != STORE_OK) {
        dbgpt_visit_fail(v, verb->end);
        return;
    }
    a->keeping.whose = v->whose;
    a->keeping.chat.id = v->chats.chats[0].id;
    v->release = NULL;                        /* the question is the turn's     */
    start_turn(a, &a->keeping);
    visit_end(v);
}

/* Who said it, as far as the client tells. */
static struct str write_more(const struct asking *a, struct arena *arena)
{
    struct buf more = BUF(16 << 20);
    struct str s;

    buf_lit(&more, "{\"user_name\":");
    json_add_str(&more, a->wish.user_name);
    buf_lit(&more, ",\"sys_code\":");
    json_add_str(&more, a->wish.sys_code);
    buf_lit(&more, ",\"model_name\":");
    json_add_str(&more, a->question->model);
    buf_lit(&more, "}");
    s = arena_str(arena, buf_str(&more));
    buf_release(&more);
    return s;
}

static void open_chat(struct asking *a)
{
    struct visit        *v = visit_new(a->x, "dbgpt");
    struct turn_keeping *k = &a->keeping;

    v->ctx = a;
    v->release = release_asking;
    k->keeps_chat = true;
    k->content = a->wish.content;
    k->title = utf8_first(a->wish.content, TITLE_CHARACTERS);
    k->remembers = a->wish.brings_history ? 0 : DBGPT_REMEMBERS;
    k->compose = dbgpt_compose;
    k->write_view = dbgpt_write_view;
    v->chats.verb.done = on_chat;
    chat_open(api_store(), &v->chats, &v->whose,
              &(struct new_chat){ .uid = a->wish.conv_uid,
                                  .mode = STR("chat_normal"),
                                  .more = write_more(a, &a->question->arena) });
}

/* The same question under the same key is about the same conversation. */
static void name_chat(struct asking *a)
{
    struct buf of = BUF(4096);
    char       random[RANDOM_LETTERS + 1], uuid[37];

    if (a->wish.conv_uid.n)
        return;
    id_fill(random, RANDOM_LETTERS);
    buf_addf(&of, "%d\n", (int)guard_asker(a->x)->tenant);
    buf_add(&of, guard_owner(a->x, &a->question->arena));
    buf_lit(&of, "\n");
    buf_add(&of, a->keeping.key.n ? a->keeping.key : str_of(random));
    dbgpt_write_uuid(buf_str(&of), '4', uuid);
    a->wish.conv_uid = arena_str(&a->question->arena, str_of(uuid));
    buf_release(&of);
}

/* ---- checks ------------------------------------------------------------------------------------- */

static bool find_model(struct asking *a)
{
    struct str name = a->question->model;
    struct buf why = BUF(1024);

    a->model = guard_may_use(a->x, name) ? offer_find(name) : NULL;
    if (a->model && offer_can(a->model, ASKED_CHAT))
        return true;
    name = utf8_clip(name, 200);
    buf_addf(&why, "the model '%.*s' does not exist", STR_ARG(name));
    if (a->wish.is_page)
        dbgpt_say(a->x, buf_str(&why));
    else
        dbgpt_fail(a->x, "E0003", buf_str(&why), "model_not_found");
    buf_release(&why);
    return false;
}

static bool has_good_mode(const struct asking *a)
{
    struct dbgpt_problem problem;
    char                 why[100];

    if (dbgpt_find_problem(&a->wish, &problem)) {
        if (a->wish.is_page)
            dbgpt_say(a->x, str_of(problem.message));
        else
            dbgpt_raise(a->x, 400, problem.message, problem.code);
        return false;
    }
    if (dbgpt_is_normal(a->wish.chat_mode))
        return true;
    snprintf(why, sizeof why, "%.*s is not available here", STR_ARG(a->wish.chat_mode));
    dbgpt_raise(a->x, 501, why, "not_implemented");
    return false;
}

static bool has_good_key(struct asking *a, const struct http_reader *rq)
{
    const char *why;
    struct buf  text = BUF(1024);

    if (once_read(a->x, rq, &a->question->arena, &a->keeping, &why))
        return true;
    buf_addf(&text, "header.idempotency-key:%s;", why);
    dbgpt_fail(a->x, "E0001", buf_str(&text), "invalid_idempotency_key");
    buf_release(&text);
    return false;
}

static void ask(struct asking *a, const struct http_reader *rq)
{
    if (a->wish.is_page && !a->question->model.n && offer_count())
        a->question->model = arena_str(&a->question->arena, offer_name(offer_at(0)));
    if (!has_good_mode(a) || !has_good_key(a, rq) || !find_model(a)) {
        question_free(a->question);
        return;
    }
    name_chat(a);
    if (api_store())
        open_chat(a);
    else
        start_turn(a, NULL);
}

void dbgpt_ask(struct http_exchange *x, const struct http_reader *rq, struct question *q,
               const struct dbgpt_wish *wish)
{
    struct asking *a = arena_new(&q->arena, sizeof *a);

    *a = (struct asking){ .x = x, .question = q, .wish = *wish };
    ask(a, rq);
}

static struct question *read_question(const struct http_reader *rq, struct dbgpt_wish *wish,
                                      struct buf *mistakes)
{
    const struct dbgpt_settings *s = &api_settings()->dbgpt;
    const char                  *why;
    struct json_doc             *doc = json_read(http_reader_body(rq), &why);
    struct question             *q;

    if (!doc) {
        buf_lit(mistakes, "body:JSON decode error;");
        return NULL;
    }
    q = dbgpt_read_question(json_root(doc), dbgpt_system(s->language), wish, mistakes);
    json_free(doc);
    return q;
}

void dbgpt_serve_chat(struct http_exchange *x, const struct http_reader *rq)
{
    struct dbgpt_wish wish = { .stream = api_settings()->dbgpt.stream_default != 0,
                               .incremental = true };
    struct buf        mistakes = BUF(MISTAKES_MAX);
    struct question  *q = read_question(rq, &wish, &mistakes);

    if (q)
        dbgpt_ask(x, rq, q, &wish);
    else
        dbgpt_fail(x, "E0001", buf_str(&mistakes), "invalid_request_error");
    buf_release(&mistakes);
}
