/* assistant_talk.c - /ws/chat: questions and answers over one WebSocket, one answer at a time.
 *
 *     message ---> assistant_ask.h ---> its turn ---> ws_sink.h
 *
 * Who goes while his answer is made leaves it as a reader of a stream does: what becomes of it
 * says dialects.assistant.on_leave.
 */
#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_ask.h"
#include "api/assistant_frames.h"
#include "api/assistant_socket.h"
#include "api/assistant_visit.h"
#include "api/guard.h"
#include "api/ws_sink.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"

enum { ID_LENGTH = 24, TEXT_LIMIT = 1024 };

struct talk {
    struct ws_conn *ws;
    char           *session;                  /* of questions that name none; NULL: none yet */
    struct visit   *visit;                    /* of a question that is not a turn yet */
    struct ws_sink *sink;                     /* of the answer that is being made */
    struct turn    *turn;                     /* its; there while ws_sink_is_told() */
    bool            streams, wants_end;
};

static void talk_free(struct talk *t)
{
    mem_free(t->session);
    mem_free(t);
}

/* ---- sessions --------------------------------------------------------------------------- */

static void name_session(struct talk *t, struct str session)
{
    mem_free(t->session);
    t->session = mem_copy(session.p, session.n);
}

static void add_session(const struct talk *t, struct buf *out)
{
    buf_lit(out, "\"session_id\":");
    json_add_str(out, str_of(t->session));
}

static void on_bind(struct talk *t, const struct json *root)
{
    struct str  session = json_str(json_get(json_get(root, "data"), "session_id"));
    struct buf *out;

    if (!session.n)
        session = json_str(json_get(root, "session_id"));
    if (!assistant_is_session(session)) {
        assistant_socket_error(t->ws, session.n ? STR("会话ID无效") : STR("会话ID不能为空"),
                               "INVALID_SESSION");
        return;
    }
    name_session(t, session);
    out = assistant_socket_begin(t->ws, "session_bound");
    add_session(t, out);
    buf_lit(out, ",\"message\":\"会话绑定成功\"");
    assistant_socket_end(t->ws);
}

/* ---- the door of assistant_ask.h ---------------------------------------------------------- */

static void part_if_wanted(struct talk *t)
{
    struct ws_conn *ws = t->ws;

    if (!t->wants_end || t->visit || t->sink)
        return;
    talk_free(t);
    ws_close(ws, WS_CODE_GOING_AWAY, "the service is restarting");
}

static void answered(void *user)
{
    struct talk *t = user;

    t->sink = NULL;
    t->turn = NULL;
    part_if_wanted(t);
}

static struct sink *make_sink(struct asking *a)
{
    struct talk            *t = a->who;
    struct assistant_state *said = assistant_state_new(a->wish.session, &a->choice);

    t->sink = ws_sink_new(t->ws, &assistant_dialect_frames, assistant_frames_new(said, a->streams),
                          answered, t);
    return &t->sink->sink;
}

static void refuse(struct visit *v, int status, const char *why)
{
    struct talk *t = ((struct asking *)v->ctx)->who;

    assistant_socket_error(t->ws, str_of(why), status == 503 ? "UNAVAILABLE" : "REFUSED");
    t->visit = NULL;
    visit_end(v);
    part_if_wanted(t);
}

static void begun(struct asking *a, struct turn *turn)
{
    struct talk *t = a->who;

    t->visit = NULL;
    if (t->sink)
        t->turn = turn;
}

static const struct assistant_door door = { make_sink, refuse, begun };

/* ---- messages ---------------------------------------------------------------------------- */

static void tell_begin(struct talk *t, struct str message)
{
    struct buf *out = assistant_socket_begin(t->ws, "user_message");

    buf_lit(out, "\"message\":");
    json_add_str(out, message);
    buf_lit(out, ",");
    add_session(t, out);
    buf_lit(out, ",\"timestamp\":");
    assistant_add_time(out, clock_wall_ms() * 1000);
    assistant_socket_end(t->ws);
    out = assistant_socket_begin(t->ws, "ai_thinking");
    buf_lit(out, "\"message\":\"AI正在思考中...\",");
    add_session(t, out);
    assistant_socket_end(t->ws);
}

static void tell_problem(struct talk *t, const struct assistant_problem *p)
{
    bool       is_empty = p->reason == assistant_missing || p->reason == assistant_empty;
    struct buf why = BUF(TEXT_LIMIT);

    if (is_empty)
        buf_lit(&why, "消息内容不能为空");
    else
        buf_addf(&why, "%s %s", p->field, p->reason);
    assistant_socket_error(t->ws, buf_str(&why), "INVALID_REQUEST");
    buf_release(&why);
}

static bool wants_pieces(const struct json *root)
{
    const struct json *wish = json_get(json_get(root, "data"), "stream");

    return !wish || json_is_true(wish);
}

static void ask(struct talk *t, struct question *q, struct assistant_wish *wish, bool streams)
{
    struct asking *a;

    if (!wish->session.n)
        wish->session = t->session ? arena_str(&q->arena, str_of(t->session)) : STR("");
    t->visit = visit_of(ws_exchange(t->ws), "assistant");
    a = assistant_asking_new(t->visit, q, wish, &door);
    a->who = t;
    a->streams = streams;
    name_session(t, a->wish.session);
    tell_begin(t, q->messages[0].text);
    assistant_ask(a);
}

static void turn_away(struct talk *t)
{
    struct ws_conn *ws = t->ws;

    assistant_socket_error(ws, STR("认证信息无效"), "UNAUTHORIZED");
    talk_free(t);
    ws_close(ws, WS_CODE_POLICY, "what was shown is not good any more");
}

static void on_chat(struct talk *t, const struct json *root)
{
    struct assistant_problem problem = { "message", "" };
    struct assistant_wish    wish;
    struct question         *q;

    if (t->visit || t->sink) {
        assistant_socket_error(t->ws, STR("上一条消息还在回答中"), "BUSY");
        return;
    }
    if (!guard_is_welcome(ws_exchange(t->ws))) {
        turn_away(t);
        return;
    }
    q = assistant_read_frame(root, api_settings()->assistant.max_tokens, &wish, &problem);
    if (q)
        ask(t, q, &wish, wants_pieces(root));
    else
        tell_problem(t, &problem);
}

/* The answer then says itself that it was stopped. */
static void on_stop(struct talk *t)
{
    bool        runs = t->turn && ws_sink_is_told(t->sink), waits = t->visit != NULL;
    struct buf *out = assistant_socket_begin(t->ws, "stopping");

    buf_addf(out, "\"stopped\":%s", runs || waits ? "true" : "false");
    assistant_socket_end(t->ws);
    if (runs)
        turn_interrupt(t->turn, FAULT_STOPPED);
    else if (waits)
        refuse(t->visit, 409, fault_text(FAULT_STOPPED));
}

static void on_message(void *user, struct str text)
{
    struct talk     *t = user;
    struct str       type;
    struct json_doc *doc = assistant_socket_read(t->ws, text, &type);

    if (!doc)
        return;
    if (str_eq(type, STR("chat")))
        on_chat(t, json_root(doc));
    else if (str_eq(type, STR("ping")))
        assistant_socket_pong(t->ws);
    else if (str_eq(type, STR("session_bind")))
        on_bind(t, json_root(doc));
    else if (str_eq(type, STR("stop")))
        on_stop(t);
    else
        assistant_socket_unknown(t->ws, type);
    json_free(doc);
}

/* ---- the socket -------------------------------------------------------------------------- */

static void on_room(void *user)
{
    struct talk *t = user;

    if (t->sink)
        ws_sink_room(t->sink);
}

static void on_drain(void *user)
{
    struct talk *t = user;

    t->wants_end = true;
    part_if_wanted(t);
}

static void on_end(void *user)
{
    struct talk *t = user;

    if (t->visit)
        visit_end(t->visit);
    if (t->sink)
        ws_sink_leave(t->sink);
    talk_free(t);
}

static const struct ws_app app = { on_message, on_room, on_drain, on_end };

static void greet(struct talk *t)
{
    struct buf *out = assistant_socket_begin(t->ws, "system");
    char        id[ID_LENGTH + 1];

    id_fill(id, ID_LENGTH);
    buf_addf(out, "\"message\":\"WebSocket连接建立成功\",\"connection_id\":\"%s\"", id);
    if (t->session) {
        buf_lit(out, ",");
        add_session(t, out);
    }
    assistant_socket_end(t->ws);
}

void assistant_serve_ws_chat(struct http_exchange *x, const struct http_reader *rq)
{
    struct arena    a = { NULL };
    struct str      session = STR("");
    enum http_query found = http_query_get(rq->target.query, STR("session_id"), &a, &session);
    struct talk    *t;

    if (!assistant_socket_may_open(x, rq)) {
        arena_release(&a);
        return;
    }
    if (found == HTTP_QUERY_BROKEN || (session.n && !assistant_is_session(session))) {
        assistant_refuse(x, 400, "会话ID无效");
    } else {
        t = mem_new(sizeof *t);
        if (session.n)
            name_session(t, session);
        t->ws = assistant_socket_open(x, rq, &app, t);
        greet(t);
    }
    arena_release(&a);
}
