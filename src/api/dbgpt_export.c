/* dbgpt_export.c - GET /api/v1/chat/dialogue/export_messages: all conversations, and all that was
 * said in them.
 *
 *     a list of chats ---> each one's messages, list by list ---> the next list
 */
#include "api/api.h"
#include "api/dbgpt_answer.h"
#include "api/dbgpt_kept.h"
#include "api/dbgpt_visit.h"
#include "base/json.h"
#include "turn/offer.h"
#include "wire/http_text.h"

enum { EXPORT_MAX = 128 << 20, NAME_LETTERS = 100 };

struct exporting {
    struct dbgpt_wanted  wanted;
    bool                 as_json;
    struct buf           out;                 /* the conversations              */
    int64_t              n, seen_chats;
    size_t               at;                  /* in the list of chats           */
    struct dbgpt_history said;                /* in that chat                   */
    int64_t              seen;
    struct str           model;
};

static void release_exporting(struct visit *v)
{
    struct exporting *e = v->ctx;

    buf_release(&e->out);
    buf_release(&e->said.out);
}

/* ---- the document -------------------------------------------------------------------------- */

static void add_chat(struct exporting *e, const struct kept_chat *c)
{
    struct buf *out = &e->out;

    buf_lit(out, "{\"conv_uid\":");
    json_add_str(out, c->uid);
    buf_lit(out, ",\"chat_mode\":");
    json_add_str(out, c->mode);
    buf_lit(out, ",\"app_code\":null,\"create_time\":");
    dbgpt_add_time(out, c->created_at);
    buf_lit(out, ",\"update_time\":");
    dbgpt_add_time(out, c->updated_at);
    buf_addf(out, ",\"total_messages\":%zu,\"messages\":", e->said.n);
    buf_add(out, buf_str(&e->said.out));
    buf_lit(out, "}");
}

static void write_document(const struct exporting *e, struct buf *out)
{
    buf_lit(out, "{\"user_name\":");
    if (e->wanted.user.n)
        json_add_str(out, e->wanted.user);
    else
        buf_lit(out, "null");
    dbgpt_add_or_null(out, "sys_code", e->wanted.system);
    buf_addf(out, ",\"total_conversations\":%lld,\"conversations\":[", (long long)e->n);
    buf_add(out, buf_str(&e->out));
    buf_lit(out, "]}");
}

/* Of a name that somebody chose, what may stand in a header field and on any disk. */
static void add_plain(struct str name, struct buf *out)
{
    name = name.n ? name : STR("dbgpt");
    for (size_t i = 0; i < name.n && i < NAME_LETTERS; i++) {
        char c = name.p[i];
        bool is_plain =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';

        buf_add_char(out, is_plain ? c : '_');
    }
}

static void answer_file(struct visit *v, struct str document)
{
    const struct exporting *e = v->ctx;
    struct buf              fields = BUF(1024);

    buf_lit(&fields, "content-disposition: attachment;filename=conversation_export_");
    add_plain(e->wanted.user, &fields);
    buf_lit(&fields, "_");
    add_plain(e->wanted.system, &fields);
    buf_lit(&fields, ".json\r\n");
    http_answer(v->x,
                &(struct http_answer){ 200, STR("application/file"), buf_str(&fields), document });
    buf_release(&fields);
    visit_end(v);
}

static void answer(struct visit *v)
{
    const struct exporting *e = v->ctx;
    struct buf              out = BUF(EXPORT_MAX + (1 << 20));

    write_document(e, &out);
    if (e->out.over || out.over) {
        dbgpt_fail(v->x, "E0003", STR("there is more than this service exports at once"),
                   "too_large");
        visit_end(v);
    } else if (e->as_json) {
        dbgpt_visit_answer(v, buf_str(&out));
    } else {
        answer_file(v, buf_str(&out));
    }
    buf_release(&out);
}

/* ---- one chat after the other -------------------------------------------------------------- */

static void look_at_chats(struct visit *v);
static void look_at_messages(struct visit *v);

/* The next one that is wanted: its messages come; or the next list of chats; or the end. */
static void go_on(struct visit *v)
{
    struct exporting *e = v->ctx;

    while (e->at < v->chats.n && !dbgpt_is_wanted(&v->chats.chats[e->at], &e->wanted))
        e->at++;
    if (e->at < v->chats.n && !e->out.over) {
        e->seen = 0;
        dbgpt_history_begin(&e->said, &v->arena, e->model, EXPORT_MAX);
        look_at_messages(v);
    } else if (v->chats.n == CHATS_MAX && !e->out.over) {
        look_at_chats(v);
    } else {
        answer(v);
    }
}

/* One that was deleted meanwhile has nothing in it. */
static void on_messages(struct verb *verb)
{
    struct visit     *v = LIST_OWNER(verb, struct visit, messages.verb);
    struct exporting *e = v->ctx;

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND) {
        dbgpt_visit_fail(v, verb->end);
        return;
    }
    for (size_t i = 0; i < v->messages.n; i++)
        dbgpt_history_add(&e->said, &v->messages.messages[i]);
    e->seen += (int64_t)v->messages.n;
    if (v->messages.n == MESSAGES_MAX && !e->said.out.over) {
        look_at_messages(v);
        return;
    }
    dbgpt_history_end(&e->said);
    buf_add(&e->out, e->n++ ? STR(",") : STR(""));
    add_chat(e, &v->chats.chats[e->at++]);
    e->out.over = e->out.over || e->said.out.over;
    buf_release(&e->said.out);
    go_on(v);
}

static void look_at_messages(struct visit *v)
{
    const struct exporting *e = v->ctx;

    v->messages.verb.done = on_messages;
    message_page(api_store(), &v->messages, &v->whose,
                 (struct chat_name){ .id = v->chats.chats[e->at].id }, ROLES_ALL, e->seen,
                 MESSAGES_MAX);
}

static void on_chats(struct verb *verb)
{
    struct visit     *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct exporting *e = v->ctx;

    if (verb->end != STORE_OK) {
        dbgpt_visit_fail(v, verb->end);
        return;
    }
    e->at = 0;
    e->seen_chats += (int64_t)v->chats.n;
    go_on(v);
}

static void look_at_chats(struct visit *v)
{
    const struct exporting *e = v->ctx;

    v->chats.verb.done = on_chats;
    chat_page(api_store(), &v->chats, &v->whose, CHATS_BY_BIRTH, e->seen_chats, CHATS_MAX);
}

/* ---- what is asked for --------------------------------------------------------------------- */

static struct str query_text(struct visit *v, const struct http_reader *rq, const char *name)
{
    struct str value;

    if (http_query_get(rq->target.query, str_of(name), &v->arena, &value) == HTTP_QUERY_FOUND)
        return value;
    return STR("");
}

void dbgpt_serve_export(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit     *v = dbgpt_visit_new(x);
    struct exporting *e;
    struct str        format;

    if (!v)
        return;
    e = v->ctx = arena_new(&v->arena, sizeof *e);
    v->release = release_exporting;
    e->wanted.user = query_text(v, rq, "user_name");
    if (!e->wanted.user.n)
        e->wanted.user = query_text(v, rq, "user_id");
    e->wanted.system = query_text(v, rq, "sys_code");
    e->out = BUF(EXPORT_MAX);
    e->model = offer_count() ? arena_str(&v->arena, offer_name(offer_at(0))) : STR("");
    format = query_text(v, rq, "format");
    e->as_json = str_eq(format, STR("json"));
    if (format.n && !e->as_json && !str_eq(format, STR("file")))
        dbgpt_visit_refuse(v, "query.format", "Input should be 'file' or 'json'");
    else
        look_at_chats(v);
}
