#include "api/openai_keep.h"

#include "api/api.h"
#include "api/fault_answer.h"
#include "api/openai_dialect.h"
#include "api/openai_refusal.h"
#include "api/visit.h"
#include "base/id.h"
#include "base/json.h"
#include "base/utf8.h"
#include "wire/sha256.h"

enum { NAME_LETTERS = 200, OWN_LETTERS = 24, TITLE_CHARACTERS = 20 };

static const char header[] = "x-conversation-id";

/* ---- its name ------------------------------------------------------------------------------ */

static bool is_visible(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~')
            return false;
    return name.n > 0 && name.n <= NAME_LETTERS;
}

/* The same question under the same key is about the same conversation. */
static struct str make_name(const struct visit *v, struct str key, struct arena *a)
{
    struct buf of = BUF(4096), name = BUF(64);
    char       hex[SHA256_HEX_SIZE];
    struct str s;

    if (key.n) {
        buf_addf(&of, "%d\n", (int)v->whose.tenant);
        buf_add(&of, v->whose.owner);
        buf_lit(&of, "\n");
        buf_add(&of, key);
        sha256_hex(buf_str(&of), hex);
    } else {
        id_fill(hex, OWN_LETTERS);
    }
    buf_lit(&name, "conv_");
    buf_add(&name, (struct str){ hex, OWN_LETTERS });
    s = arena_str(a, buf_str(&name));
    buf_release(&name);
    buf_release(&of);
    return s;
}

/* False: it was refused. */
static bool read_name(struct visit *v, const struct http_reader *rq, struct str key,
                      struct str *name)
{
    const struct openai_keeping *k = v->ctx;

    if (http_reader_count(rq, str_of(header)) == 0) {
        *name = make_name(v, key, &k->question->arena);
        return true;
    }
    *name = arena_str(&k->question->arena, str_trim(http_reader_header(rq, str_of(header))));
    if (http_reader_count(rq, str_of(header)) == 1 && is_visible(*name))
        return true;
    openai_refuse(v->x, 400,
                  "X-Conversation-Id must come once, as 1 to 200 visible ASCII characters", NULL,
                  "invalid_conversation_id");
    return false;
}

static void tell_name(struct http_exchange *x, struct str name)
{
    struct buf field = BUF(512);

    buf_addf(&field, "%s: %.*s\r\n", header, STR_ARG(name));
    http_add_fields(x, buf_str(&field));
    buf_release(&field);
}

static struct str write_more(struct visit *v, struct str name)
{
    struct buf more = BUF(1024 + 6 * NAME_LETTERS);
    struct str s;

    buf_lit(&more, "{\"conversation_id\":");
    json_add_str(&more, name);
    buf_lit(&more, "}");
    s = arena_str(&v->arena, buf_str(&more));
    buf_release(&more);
    return s;
}

/* ---- what is kept ---------------------------------------------------------------------------- */

/* A text that the model is to go on with is no question. */
static const struct message *find_question(const struct question *q)
{
    for (size_t i = q->n_messages; i-- > 0;)
        if (q->messages[i].role != ROLE_ASSISTANT)
            return &q->messages[i];
    return &q->messages[q->n_messages - 1];
}

static struct str write_question_more(const struct openai_keeping *k)
{
    struct buf more = BUF(k->metadata.n + 40);
    struct str s;

    if (!k->metadata.n)
        return STR("");
    buf_lit(&more, "{\"metadata\":");
    buf_add(&more, k->metadata);
    buf_lit(&more, "}");
    s = arena_str(&k->question->arena, buf_str(&more));
    buf_release(&more);
    return s;
}

static void fill_keeping(const struct visit *v)
{
    struct openai_keeping *k = v->ctx;
    const struct message  *m = find_question(k->question);

    k->keeping.whose = v->whose;
    k->keeping.keeps_chat = true;
    k->keeping.content = m->text;
    k->keeping.is_of_tool = m->role == ROLE_TOOL || m->role == ROLE_FUNCTION;
    k->keeping.more = write_question_more(k);
    k->keeping.title = utf8_first(m->text, TITLE_CHARACTERS);
}

/* ---- its conversation ------------------------------------------------------------------------ */

static void release_keeping(struct visit *v)
{
    const struct openai_keeping *k = v->ctx;

    question_free(k->question);
}

static enum fault fault_of(enum store_end end)
{
    return end == STORE_REFUSED || end == STORE_CONFLICT ? FAULT_NOT_ACCEPTED : FAULT_NO_DATABASE;
}

static void on_chat(struct verb *verb)
{
    struct visit          *v = LIST_OWNER(verb, struct visit, chats.verb);
    struct openai_keeping *k = v->ctx;

    if (verb->end != STORE_OK) {
        fault_answer(v->x, &openai_dialect,
                     &(struct event){ .type = EVENT_ERROR, .fault = fault_of(verb->end) });
    } else {
        k->keeping.chat.id = v->chats.chats[0].id;
        v->release = NULL;                    /* the question is somebody else's */
        k->kept(k);
    }
    visit_end(v);
}

void openai_keep(struct openai_keeping *k, const struct http_reader *rq)
{
    struct visit *v = visit_new(k->x, "openai");
    struct str    name;

    v->ctx = k;
    v->release = release_keeping;
    if (!read_name(v, rq, k->keeping.key, &name)) {
        visit_end(v);
        return;
    }
    tell_name(k->x, name);
    fill_keeping(v);
    visit_name(v, name);
    v->chats.verb.done = on_chat;
    chat_open(
        api_store(), &v->chats, &v->whose,
        &(struct new_chat){ .uid = v->chat.uid, .mode = STR("chat"), .more = write_more(v, name) });
}
