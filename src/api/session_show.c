/* session_show.c - what was said in a session, and what is going on in it.
 *
 * An answer that is being made is not among its messages: who wants it reads its stream.
 */
#include "api/api.h"
#include "api/session_visit.h"
#include "chat/rounds.h"

enum { MESSAGES_MOST = 200, TEXT_LIMIT = 1 << 30 };

/* ---- messages -------------------------------------------------------------------------------- */

static void add_text_or_null(const char *member, struct str text, struct buf *out)
{
    buf_addf(out, ",\"%s\":", member);
    if (text.n)
        json_add_str(out, text);
    else
        buf_lit(out, "null");
}

/* Its clients know by it that there is no more to come. */
static void add_content(struct str content, bool is_cut, struct buf *out)
{
    buf_lit(out, ",\"content\":\"");
    json_add_text(out, content);
    if (is_cut && content.n)
        buf_lit(out, "\\n\\n");
    if (is_cut)
        buf_lit(out, "[interrupted]");
    buf_lit(out, "\"");
}

static void add_calls(const struct message *part, struct str name, struct buf *out)
{
    const char        *why;
    struct json_doc   *doc = part->raw.n ? json_read(part->raw, &why) : NULL;
    const struct json *root = doc ? json_root(doc) : NULL, *calls = json_get(root, "tool_calls");

    add_text_or_null("name", name, out);
    add_text_or_null("tool_call_id", json_str(json_get(root, "tool_call_id")), out);
    buf_lit(out, ",\"refusal\":null,\"tool_calls\":");
    if (calls)
        json_add_value(out, calls);
    else
        buf_lit(out, "null");
    buf_lit(out, ",\"function_call\":null");
    json_free(doc);
}

static void add_part(const struct kept_message *m, const struct message *part, bool is_cut,
                     struct buf *out)
{
    buf_addf(out, "{\"id\":\"%lld\",\"role\":\"%s\"", (long long)m->id, role_name(part->role));
    add_content(part->text, is_cut, out);
    add_calls(part, m->name, out);
    buf_addf(out, ",\"sequence\":%lld", (long long)m->seq);
    session_add_time(out, "created_at", m->created_at);
    buf_lit(out, "}");
}

/* Where nobody was asked: why. */
static struct str words_of(const struct kept_message *m)
{
    enum fault fault = m->state == KEPT_ERROR ? session_refused_by(m->more) : FAULT_NONE;

    return fault ? str_of(fault_text(fault)) : m->content;
}

/* An answer in which tools were used is shown as a model would see it. */
static void add_message(struct visit *v, const struct kept_message *m, struct buf *out)
{
    bool            is_cut = m->state == KEPT_STOPPED || m->state == KEPT_INTERRUPTED;
    struct message  whole = { .text = words_of(m) };
    struct message *parts = &whole;
    size_t          n = 0;

    if (m->tool_calls.n)
        n = rounds_split(m->content, m->tool_calls, &v->arena, &parts);
    if (!role_read(str_of(kept_role_name(m->role)), &whole.role) || !n) {
        parts = &whole;
        n = 1;
    }
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_lit(out, ",");
        add_part(m, &parts[i], is_cut && i + 1 == n && parts[i].role == ROLE_ASSISTANT, out);
    }
}

static bool is_shown(const struct kept_message *m)
{
    return m->state != KEPT_STREAMING && !session_is_replaced(m->more);
}

static void add_messages(struct visit *v, struct buf *out)
{
    bool any = false;

    buf_lit(out, ",\"messages\":[");
    for (size_t i = 0; i < v->messages.n; i++) {
        if (!is_shown(&v->messages.messages[i]))
            continue;
        if (any)
            buf_lit(out, ",");
        any = true;
        add_message(v, &v->messages.messages[i], out);
    }
    buf_addf(out, "],\"has_more_messages\":%s,\"oldest_sequence\":",
             v->messages.is_more ? "true" : "false");
    if (v->messages.n)
        buf_addf(out, "%lld", (long long)v->messages.messages[0].seq);
    else
        buf_lit(out, "null");
}

/* ---- all of it --------------------------------------------------------------------------------- */

static void add_usage(const struct kept_chat *c, struct buf *out)
{
    long long prompt = c->prompt_tokens, completion = c->completion_tokens;

    buf_lit(out, ",\"usage\":[");
    if (prompt || completion)
        buf_addf(out, "{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld}",
                 prompt, completion, prompt + completion);
    buf_addf(out, "],\"total_prompt_tokens\":%lld,\"total_completion_tokens\":%lld", prompt,
             completion);
}

static void add_stream(const struct visit *v, bool is_there, struct buf *out)
{
    if (!is_there) {
        buf_lit(out, ",\"active_stream\":null,\"chat_status\":\"idle\"");
        return;
    }
    buf_lit(out, ",\"active_stream\":{\"turn_id\":");
    json_add_str(out, v->turn.turn.id);
    buf_lit(out, ",\"last_message_id\":\"0-0\"},\"chat_status\":\"running\"");
}

static void on_turn(struct verb *verb)
{
    struct visit           *v = LIST_OWNER(verb, struct visit, turn.verb);
    const struct kept_chat *c = &v->chats.chats[0];
    struct buf              out = BUF(TEXT_LIMIT);

    if (verb->end != STORE_OK && verb->end != STORE_NOT_FOUND) {
        session_visit_fail(v, verb->end);
        return;
    }
    buf_lit(&out, "{\"id\":");
    json_add_str(&out, *v->name);
    session_add_time(&out, "created_at", c->created_at);
    session_add_time(&out, "updated_at", c->updated_at);
    session_add_owner(&out, v->whose.owner);
    add_text_or_null("title", c->title, &out);
    buf_addf(&out, ",\"is_pinned\":%s,\"metadata\":{}", c->is_pinned ? "true" : "false");
    add_messages(v, &out);
    add_usage(c, &out);
    add_stream(v, verb->end == STORE_OK && v->turn.turn.state == KEPT_STREAMING, &out);
    buf_lit(&out, "}");
    session_visit_answer(v, buf_str(&out));
    buf_release(&out);
}

static void on_messages(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, messages.verb);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    v->turn.verb.done = on_turn;
    turn_of_chat(api_store(), &v->turn, &v->whose, v->chat, 0);
}

static void on_session(struct verb *verb)
{
    struct visit *v = LIST_OWNER(verb, struct visit, chats.verb);

    if (verb->end != STORE_OK) {
        session_visit_fail(v, verb->end);
        return;
    }
    v->messages.verb.done = on_messages;
    message_last(api_store(), &v->messages, &v->whose, v->chat, ROLES_SPOKEN, v->from,
                 v->page_size);
}

/* Who does not know pages gets all there is, as long as that is not too much. */
void session_serve_show(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = session_visit_new(x, rq);

    if (!v)
        return;
    v->page_size = MESSAGES_MAX;
    v->from = MESSAGES_NEWEST;
    if (!session_visit_takes_session(v, rq) ||
        !session_visit_takes_count(v, rq, "limit", 1, MESSAGES_MOST, &v->page_size) ||
        !session_visit_takes_count(v, rq, "before_sequence", 0, INT64_MAX, &v->from))
        return;
    v->chats.verb.done = on_session;
    chat_find(api_store(), &v->chats, &v->whose, v->chat);
}
