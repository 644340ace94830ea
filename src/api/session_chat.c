/* session_chat.c - POST /api/chat/sessions/{id}/stream, and what GET meant there once.
 *
 *     body ---> whose session ---> its turn (turn/turn.h), as a stream of parts
 */
#include "api/api.h"
#include "api/once.h"
#include "api/session_ask.h"
#include "base/utf8.h"
#include "wire/http_text.h"

#include <stdio.h>

enum { NAME_CHARACTERS = 64, FILES_MOST = 20, QUERY_CHARACTERS = 10000, TEXT_LIMIT = 256 << 20 };

/* ---- what it brings ---------------------------------------------------------------------------- */

static bool refuse(struct visit *v, const char *name, const char *why)
{
    session_visit_refuse_value(v, "body", name, why);
    return false;
}

static bool takes_message(struct visit *v, struct str *message)
{
    const struct json *value = json_get(json_root(v->body), "message");
    uint64_t           most = api_settings()->session.max_message;
    char               why[80];

    *message = json_str(value);
    if (str_trim(*message).n && utf8_count(*message) <= most)
        return true;
    snprintf(why, sizeof why, "it must be a text of 1 to %llu characters",
             (unsigned long long)most);
    return refuse(v, "message", why);
}

static bool takes_others(struct visit *v)
{
    const struct json *root = json_root(v->body), *by = json_get(root, "is_user_message");
    const struct json *id = json_get(root, "message_id"), *files = json_get(root, "file_ids");
    const struct json *context = json_get(root, "context");

    if (by && json_type(by) != JSON_BOOL)
        return refuse(v, "is_user_message", "it must be true or false");
    if (id && (json_type(id) != JSON_STRING || utf8_count(json_str(id)) > NAME_CHARACTERS))
        return refuse(v, "message_id", "it must be a text of up to 64 characters");
    if (files && (json_type(files) != JSON_ARRAY || json_count(files) > FILES_MOST))
        return refuse(v, "file_ids", "it must be a list of up to 20 files");
    if (context && json_type(context) != JSON_OBJECT)
        return refuse(v, "context", "it must be an object with url and content");
    return true;
}

/* What the page says that the question was asked on. */
static void read_context(struct session_asking *a, const struct json *context)
{
    struct str url = json_str(json_get(context, "url"));
    struct str content = json_str(json_get(context, "content"));
    struct buf text = BUF(TEXT_LIMIT);

    if (!url.n && !content.n)
        return;
    buf_lit(&text, "The user is looking at this page");
    if (url.n)
        buf_lit(&text, ": ");
    buf_add(&text, url);
    buf_lit(&text, "\n\n");
    if (content.n) {
        buf_add(&text, content);
        buf_lit(&text, "\n\n");
    }
    buf_lit(&text, "The user says:\n");
    a->context = arena_str(&a->question->arena, buf_str(&text));
    buf_release(&text);
}

static bool says_no(const struct json *value)
{
    return json_type(value) == JSON_BOOL && !json_is_true(value);
}

static void serve(struct http_exchange *x, const struct http_reader *rq, bool only_waits)
{
    struct visit          *v = session_visit_new(x, rq);
    struct session_asking *a;
    const struct json     *root;
    struct str             message;
    const char            *why;

    if (!v || !session_visit_takes_session(v, rq) || !session_visit_takes_body(v, rq) ||
        !takes_message(v, &message) || !takes_others(v))
        return;
    root = json_root(v->body);
    a = session_asking_new(v, message);
    a->keeping.is_assistants = says_no(json_get(root, "is_user_message"));
    a->model = arena_str(&a->question->arena, json_str(json_get(root, "model")));
    read_context(a, json_get(root, "context"));
    if (!once_read(x, rq, &a->question->arena, &a->keeping, &why)) {
        session_visit_refuse(v, 400, why);
        return;
    }
    if (a->keeping.key.n)
        session_asking_name(a, a->keeping.key); /* all that waits is known by its text */
    session_asking_name(a, json_str(json_get(root, "message_id")));
    a->only_waits = only_waits;
    session_ask(a);
}

void session_serve_stream(struct http_exchange *x, const struct http_reader *rq)
{
    serve(x, rq, false);
}

void session_serve_put(struct http_exchange *x, const struct http_reader *rq)
{
    serve(x, rq, true);
}

/* ---- the older form: the message stands in the query ----------------------------------------------- */

bool session_takes_query(struct visit *v, const struct http_reader *rq)
{
    struct session_asking *a;
    struct str             message, by = STR("");
    enum http_query q = http_query_get(rq->target.query, STR("message"), &v->arena, &message);

    if (q == HTTP_QUERY_ABSENT)
        return false;
    if (q == HTTP_QUERY_BROKEN || !str_trim(message).n || utf8_count(message) > QUERY_CHARACTERS) {
        session_visit_refuse_value(v, "query", "message",
                                   "it must be a text of 1 to 10000 characters");
        return true;
    }
    http_query_get(rq->target.query, STR("is_user_message"), &v->arena, &by);
    a = session_asking_new(v, message);
    a->keeping.is_assistants = str_eq(by, STR("false"));
    session_ask(a);
    return true;
}
