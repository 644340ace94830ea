/* session_title.c - a title for a new session, which a model finds in the first question.
 *
 * It is a turn of its own that nobody waits for. What fails leaves the session without a title,
 * and one that its owner gave meanwhile stays.
 */
#include "api/api.h"
#include "api/guard.h"
#include "api/session_ask.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "turn/sink.h"

enum {
    QUESTION_CHARACTERS = 500,
    TITLE_CHARACTERS = 50,
    KEPT_CHARACTERS = 47,
    TOKENS = 20,
    TITLE_LIMIT = 4096,
};

static const char task[] =
    "Write a title of 3 to 6 words for a conversation that begins with the user's message. "
    "Answer with the title alone, in the language of the message, without quotes.";

struct naming {
    struct sink      sink;                    /* of the turn that finds it      */
    struct link      link;
    struct arena     arena;
    struct whose     whose;
    int64_t          chat;
    struct buf       text;
    struct chat_call call;
};

static struct list namings = { .head = { &namings.head, &namings.head } };

static void naming_free(struct naming *n)
{
    verb_drop(&n->call.verb);
    list_take(&namings, &n->link);
    buf_release(&n->text);
    arena_release(&n->arena);
    mem_free(n);
}

void session_forget_titles(void)
{
    while (namings.n)
        naming_free(LIST_OWNER(namings.head.next, struct naming, link));
}

static void on_named(struct verb *verb)
{
    naming_free(LIST_OWNER(verb, struct naming, call.verb));
}

/* ---- what it is called ------------------------------------------------------------------------ */

static bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '`' || c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

static struct str without_quotes(struct str s)
{
    while (s.n && is_quote(s.p[0]))
        s = str_from(s, 1);
    while (s.n && is_quote(s.p[s.n - 1]))
        s.n--;
    s.n = str_find(s, '\n');
    return s;
}

static struct str title_of(struct naming *n)
{
    struct str title = without_quotes(buf_str(&n->text));
    struct buf cut = BUF(TITLE_LIMIT);

    if (utf8_count(title) <= TITLE_CHARACTERS)
        return arena_str(&n->arena, title);
    buf_add(&cut, utf8_first(title, KEPT_CHARACTERS));
    buf_lit(&cut, "...");
    title = arena_str(&n->arena, buf_str(&cut));
    buf_release(&cut);
    return title;
}

static void keep_title(struct naming *n)
{
    struct str title = title_of(n);

    if (!title.n) {
        naming_free(n);
        return;
    }
    n->call.verb.done = on_named;
    chat_entitle(api_store(), &n->call, &n->whose, (struct chat_name){ .id = n->chat }, title);
}

/* ---- the turn ---------------------------------------------------------------------------------- */

static void hear_begin(struct sink *k, const struct turn_facts *facts, int64_t first)
{
    (void)k;
    (void)facts;
    (void)first;
}

static void hear_event(struct sink *k, const struct event *ev)
{
    struct naming *n = (struct naming *)k;

    if (ev->type == EVENT_DELTA)
        buf_add(&n->text, ev->text);
    if (ev->type == EVENT_ERROR)
        buf_clear(&n->text);
}

static void hear_flush(struct sink *k)
{
    (void)k;
}

static void hear_close(struct sink *k)
{
    keep_title((struct naming *)k);
}

static void hear_room(struct sink *k, const struct budget_call *room)
{
    (void)k;
    (void)room;
}

static const struct sink_ops ops = { hear_begin, hear_event, hear_flush, hear_close, hear_room };

static struct question *question_of(struct str text)
{
    struct question *q = question_new();

    q->messages = arena_new(&q->arena, 2 * sizeof *q->messages);
    q->n_messages = 2;
    q->messages[0] = (struct message){ .role = ROLE_SYSTEM, .text = str_of(task) };
    q->messages[1] =
        (struct message){ .role = ROLE_USER,
                          .text = arena_str(&q->arena, utf8_first(text, QUESTION_CHARACTERS)) };
    q->max_tokens = TOKENS;
    q->has_no_tools = true;                   /* nobody would see what they do  */
    q->options = STR(",\"max_tokens\":20");
    return q;
}

static struct naming *naming_new(const struct visit *v, int64_t chat)
{
    struct naming *n = mem_new(sizeof *n);

    n->sink.ops = &ops;
    n->chat = chat;
    n->text = BUF(TITLE_LIMIT);
    n->whose = (struct whose){ v->whose.tenant, arena_str(&n->arena, v->whose.dialect),
                               arena_str(&n->arena, v->whose.owner) };
    list_push(&namings, &n->link);
    return n;
}

void session_find_title(const struct visit *v, int64_t chat, struct str text)
{
    const struct route *route = v->x->route;
    struct str          name = api_settings()->session.title_model;
    struct question    *q;
    const struct model *model;

    if (!name.n || !api_store() || v->chats.chats[0].title.n)
        return;
    q = question_of(text);
    model = offer_find(name);
    if (!model) {
        question_free(q);
        return;
    }
    turn_start(&(struct turn_order){ .question = q,
                                     .model = model,
                                     .sink = &naming_new(v, chat)->sink,
                                     .asker = guard_asker(v->x),
                                     .route = route->path,
                                     .request_id = str_of(v->x->id),
                                     .client = str_of(v->x->client),
                                     .on_leave = LEAVING_DETACHES });
}
