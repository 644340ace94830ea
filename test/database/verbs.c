#include "database/verbs.h"

#include "base/clock.h"
#include "chat/event_bytes.h"
#include "store/budget.h"
#include "store/operations.h"
#include "store/pending.h"
#include "store/sessions.h"
#include "store/tools.h"
#include "store/usage.h"
#include "wire/sha256.h"

enum { SEEN_MAX = 1 << 20 };

static void see(struct outcome *o, const struct str *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_add(&o->seen, texts[i]);
        buf_lit(&o->seen, "\n");
    }
}

#define SEE(o, ...)                                                                                \
    see((o), (const struct str[]){ __VA_ARGS__ },                                                  \
        sizeof((const struct str[]){ __VA_ARGS__ }) / sizeof(struct str))

/* ---- chats ----------------------------------------------------------------------------- */

static void tell_chats(struct chat_call *c, struct outcome *o)
{
    o->end = c->verb.end;
    o->n = c->n;
    o->total = c->total;
    for (size_t i = 0; c->chats && i < c->n; i++)
        SEE(o, c->chats[i].uid, c->chats[i].title, c->chats[i].last_message, c->chats[i].more,
            c->chats[i].provider_session);
    verb_drop(&c->verb);
}

/* Asks, waits and tells. */
#define CHAT_VERB(name, ...)                                                                       \
    static void try_##name(const struct probe *p, struct outcome *o)                               \
    {                                                                                              \
        struct chat_call c = { 0 };                                                                \
                                                                                                   \
        AWAIT(c, name(store, &c, &p->whose, __VA_ARGS__));                                         \
        tell_chats(&c, o);                                                                         \
    }

static struct new_chat new_chat(const struct probe *p)
{
    return (struct new_chat){ .uid = p->uid,
                              .mode = p->name,
                              .context_type = p->context_type,
                              .context_id = p->context_id,
                              .title = p->title,
                              .more = p->more };
}

#define NEW_CHAT(p) (struct new_chat[]){ new_chat(p) }

static const struct chat_reuse reuse = { .window = -1 };

CHAT_VERB(chat_open, NEW_CHAT(p))
CHAT_VERB(chat_take_up, NEW_CHAT(p), &reuse)
CHAT_VERB(chat_find, p->chat)
CHAT_VERB(chat_rename, p->chat, p->title)
CHAT_VERB(chat_entitle, p->chat, p->title)
CHAT_VERB(chat_pin, p->chat, true)
CHAT_VERB(chat_keep_session, p->chat, p->session)
CHAT_VERB(chat_assign, p->chat, p->owner)
CHAT_VERB(chat_delete, p->chat)
CHAT_VERB(chat_page, CHATS_BY_UPDATE, p->offset, p->limit)
CHAT_VERB(chat_list_behind, CHATS_BY_UPDATE, ((struct chat_key){ p->time, INT64_MAX }), p->limit)

/* ---- messages -------------------------------------------------------------------------- */

static void tell_messages(struct message_call *c, struct outcome *o)
{
    o->end = c->verb.end;
    o->n = c->n;
    o->total = c->total > 0 ? c->total : 0;
    for (size_t i = 0; i < c->n; i++)
        SEE(o, c->messages[i].content, c->messages[i].more, c->messages[i].turn);
    verb_drop(&c->verb);
}

#define MESSAGE_VERB(name, ...)                                                                    \
    static void try_##name(const struct probe *p, struct outcome *o)                               \
    {                                                                                              \
        struct message_call c = { 0 };                                                             \
                                                                                                   \
        AWAIT(c, name(store, &c, &p->whose, p->chat, __VA_ARGS__));                                \
        tell_messages(&c, o);                                                                      \
    }

static struct new_message new_message(const struct probe *p)
{
    return (struct new_message){ .role = KEPT_USER,
                                 .content = p->content,
                                 .reasoning = p->title,
                                 .name = p->name,
                                 .tool_call_id = p->session,
                                 .tool_calls = p->tool_calls,
                                 .more = p->more,
                                 .turn = p->turn,
                                 .once = p->once,
                                 .tokens_used = -1 };
}

#define NEW_MESSAGE(p) (struct new_message[]){ new_message(p) }

MESSAGE_VERB(message_append, NEW_MESSAGE(p))
MESSAGE_VERB(message_page, ROLES_ALL, p->offset, p->limit)
MESSAGE_VERB(message_last, ROLES_ALL, p->seq, p->limit)
MESSAGE_VERB(message_annotate, p->message, p->more)

static void try_message_search(const struct probe *p, struct outcome *o)
{
    struct message_call c = { 0 };

    AWAIT(c, message_search(store, &c, &p->whose, p->content, p->limit));
    tell_messages(&c, o);
}

static void try_messages_replace(const struct probe *p, struct outcome *o)
{
    struct message_call c = { 0 };

    AWAIT(c, messages_replace(store, &c, &p->whose, p->chat, p->seq));
    o->end = c.verb.end;
    o->n = (size_t)c.total;
    verb_drop(&c.verb);
}

/* ---- what waits --------------------------------------------------------------------------- */

static void tell_pending(struct pending_call *c, struct outcome *o)
{
    o->end = c->verb.end;
    o->n = c->n + c->is_queued;
    for (size_t i = 0; i < c->n; i++)
        SEE(o, c->all[i].content, c->all[i].context, c->all[i].key, c->all[i].model);
    verb_drop(&c->verb);
}

static void try_pending_put(const struct probe *p, struct outcome *o)
{
    struct pending_call c = { 0 };

    AWAIT(c, pending_put(store, &c, &p->whose, p->chat,
                         &(struct pending){ .key = p->once,
                                            .content = p->content,
                                            .context = p->name,
                                            .model = p->model,
                                            .asker = { .key = p->api_key } },
                         true, &(struct crowd_limits){ 5, 15, 3600 * CLOCK_S }));
    tell_pending(&c, o);
}

static void try_pending_take(const struct probe *p, struct outcome *o)
{
    struct pending_call c = { 0 };

    (void)p;
    AWAIT(c, pending_take(store, &c, &(struct crowd_limits){ 5, 15, 3600 * CLOCK_S }));
    tell_pending(&c, o);
}

static void try_pending_drop(const struct probe *p, struct outcome *o)
{
    struct pending_call c = { 0 };

    AWAIT(c, pending_drop(store, &c, p->whose.tenant, 0));
    tell_pending(&c, o);
}

static void try_pending_give_back(const struct probe *p, struct outcome *o)
{
    struct pending_call c = { 0 };

    AWAIT(c, pending_give_back(store, &c, p->whose.tenant, 0, 1));
    tell_pending(&c, o);
}

static void try_pending_refuse(const struct probe *p, struct outcome *o)
{
    struct pending_call c = { 0 };

    AWAIT(c, pending_refuse(store, &c, p->whose.tenant, 0, STR("refused"), FAULT_USED_UP));
    tell_pending(&c, o);
}

static void try_pending_list(const struct probe *p, struct outcome *o)
{
    struct pending_call c = { 0 };

    AWAIT(c, pending_list(store, &c, &p->whose, p->chat));
    tell_pending(&c, o);
}

/* ---- what goes on ------------------------------------------------------------------------- */

static void tell_operation(struct operation_call *c, struct outcome *o)
{
    o->end = c->verb.end;
    o->n = c->n + (c->verb.end == STORE_OK && c->operation.id.n);
    SEE(o, c->operation.id, c->operation.turn, c->operation.call, c->operation.tool);
    verb_drop(&c->verb);
}

static void try_operation_begin(const struct probe *p, struct outcome *o)
{
    struct operation_call  c = { 0 };
    struct asker           a = { .key = p->api_key, .account = p->account };
    struct operation_order order = { .id = p->once,
                                     .turn = p->turn,
                                     .call = p->session,
                                     .tool = p->name,
                                     .arguments = p->tool_calls,
                                     .asker = &a,
                                     .output_limit = 100,
                                     .ttl = CLOCK_S };

    AWAIT(c, operation_begin(store, &c, &p->whose, &order));
    tell_operation(&c, o);
}

/* Its name alone is no right to do that. */
static void try_operation_forget(const struct probe *p, struct outcome *o)
{
    struct operation_call c = { 0 };

    AWAIT(c, operation_forget(store, &c, &p->whose, STR("annas-secret")));
    tell_operation(&c, o);
    o->n = o->end == STORE_OK;
}

static void try_operation_find(const struct probe *p, struct outcome *o)
{
    struct operation_call c = { 0 };

    AWAIT(c, operation_find(store, &c, p->secret));
    tell_operation(&c, o);
}

static void try_operation_complete(const struct probe *p, struct outcome *o)
{
    struct operation_call c = { 0 };

    AWAIT(c, operation_complete(store, &c, p->secret, true, p->content, p->title));
    tell_operation(&c, o);
}

static void try_operations_settle(const struct probe *p, struct outcome *o)
{
    struct operation_call c = { 0 };

    (void)p;
    AWAIT(c, operations_settle(store, &c));
    tell_operation(&c, o);
}

static void try_turns_running(const struct probe *p, struct outcome *o)
{
    struct busy_call c = { 0 };

    AWAIT(c, turns_running(store, &c, &p->whose));
    o->end = c.verb.end;
    o->n = c.n;
    verb_drop(&c.verb);
}

/* ---- turns ----------------------------------------------------------------------------- */

static void tell_turn(struct turn_call *c, struct outcome *o)
{
    o->end = c->verb.end;
    o->n = c->found;
    o->total = (int64_t)c->n_pieces;
    SEE(o, c->turn.id, c->turn.content, c->turn.model);
    for (size_t i = 0; i < c->n_pieces; i++)
        SEE(o, c->pieces[i].events);
    verb_drop(&c->verb);
}

#define TURN_VERB(name, ...)                                                                       \
    static void try_##name(const struct probe *p, struct outcome *o)                               \
    {                                                                                              \
        struct turn_call c = { 0 };                                           \
                                                                                                   \
        AWAIT(c, name(store, &c, __VA_ARGS__));                                                    \
        tell_turn(&c, o);                                                                          \
    }

static struct turn_taking taking(const struct probe *p)
{
    return (struct turn_taking){ .id = p->turn,
                                 .key = p->key,
                                 .model = p->model,
                                 .holder = p->holder,
                                 .lease = 60 * CLOCK_S,
                                 .keeps_chat = p->chat.id || p->chat.uid.n,
                                 .chat = p->chat,
                                 .role = KEPT_USER,
                                 .content = p->content,
                                 .name = p->name,
                                 .more = p->more,
                                 .title = p->title };
}

static struct turn_ending ending(const struct probe *p)
{
    return (struct turn_ending){ .tenant = p->whose.tenant,
                                 .id = p->turn,
                                 .holder = p->holder,
                                 .end = END_COMPLETE,
                                 .finish = p->name,
                                 .content = p->content,
                                 .reasoning = p->title,
                                 .tool_calls = p->tool_calls,
                                 .more = p->more,
                                 .tokens_used = 1,
                                 .provider_session = p->session };
}

#define TAKING(p) (struct turn_taking[]){ taking(p) }
#define ENDING(p) (struct turn_ending[]){ ending(p) }

TURN_VERB(turn_claim, &p->whose, TAKING(p))
TURN_VERB(turn_find_key, &p->whose, p->key, STR(""))
TURN_VERB(turn_end, ENDING(p))
TURN_VERB(turn_find, &p->whose, p->turn)
TURN_VERB(turn_of_chat, &p->whose, p->chat, p->answer)
TURN_VERB(turn_read, &p->whose, p->turn, p->seq, p->limit)
TURN_VERB(turn_stop, &p->whose, p->turn)

static void try_tools_of_tenant(const struct probe *p, struct outcome *o)
{
    struct tools_call c = { .n = 0 };

    AWAIT(c, tools_of_tenant(store, &c, p->whose.tenant));
    o->end = c.verb.end;
    o->n = c.n;
    for (size_t i = 0; i < c.n; i++)
        SEE(o, c.tools[i].description, c.tools[i].headers);
    verb_drop(&c.verb);
}

/* ---- what a process does --------------------------------------------------------------- */

#define RUNNING_VERB(name, ...)                                                                    \
    static void try_##name(const struct probe *p, struct outcome *o)                               \
    {                                                                                              \
        struct running_call c = { 0 };                                                             \
                                                                                                   \
        AWAIT(c, name(store, &c, __VA_ARGS__));                                                    \
        o->end = c.verb.end;                                                                       \
        o->n = c.n;                                                                                \
        verb_drop(&c.verb);                                                                        \
    }

#define NAME(p) ((struct turn_name){ (p)->whose.tenant, (p)->turn })
#define PIECE(p)                                                                                   \
    (struct turn_piece[])                                                                          \
    {                                                                                              \
        {                                                                                          \
            NAME(p),                                                                               \
            {                                                                                      \
                (p)->seq, (p)->piece                                                               \
            }                                                                                      \
        }                                                                                          \
    }

RUNNING_VERB(turns_extend, p->holder, &NAME(p), 1, CLOCK_S)
RUNNING_VERB(journal_add, p->holder, PIECE(p), 1)
RUNNING_VERB(journals_clear, p->age, p->age, p->limit)

static void sweep_done(struct sweep *sweep)
{
    (void)sweep;
    kept_ended = true;
}

static void try_sweep_start(const struct probe *p, struct outcome *o)
{
    static struct sweep sweep;

    sweep = (struct sweep){ .done = sweep_done };
    kept_ended = false;
    sweep_start(store, &sweep, p->holder, CLOCK_S, NULL, 0);
    turn_until(&kept_ended, 10000);
    o->end = sweep.end;
    o->n = sweep.closed;
    sweep_drop(&sweep);
}

/* ---- who asks, and how much ------------------------------------------------------------- */

#define ASKER_VERB(name, ...)                                                                      \
    static void try_##name(const struct probe *p, struct outcome *o)                               \
    {                                                                                              \
        struct asker_call c = { .asker = { .tenant = 0 } };                                        \
                                                                                                   \
        AWAIT(c, name(store, &c, __VA_ARGS__));                                                    \
        o->end = c.verb.end;                                                                       \
        o->n = c.asker.tenant != 0;                                                                \
        SEE(o, c.asker.nickname, c.asker.role);                                                    \
        verb_drop(&c.verb);                                                                        \
    }

static struct str hash_of(struct str secret)
{
    static unsigned char digest[SHA256_BYTES];

    sha256(secret, digest);
    return (struct str){ (const char *)digest, sizeof digest };
}

ASKER_VERB(asker_by_key, hash_of(p->secret))
ASKER_VERB(asker_by_subject, p->tenant, p->subject, true)
ASKER_VERB(asker_introduced, p->tenant, p->subject, true, p->name, p->title)

static void try_budget_reserve(const struct probe *p, struct outcome *o)
{
    struct asker       a = { .tenant = p->whose.tenant, .key = p->api_key, .account = p->account };
    struct budget_ask  ask = { .asker = &a, .turn = p->once, .tokens = p->tokens, .seconds = 60 };
    struct budget_call c = { .limit = BUDGET_FREE };

    AWAIT(c, budget_reserve(store, &c, &ask));
    o->end = c.verb.end;
    o->n = c.requests.limit > 0;              /* it says what is left           */
    verb_drop(&c.verb);
}

/* Whose turn it is not, of him nothing is reserved that a round could stand in for. */
static void try_budget_go_on(const struct probe *p, struct outcome *o)
{
    struct asker        a = { .tenant = p->whose.tenant, .key = p->api_key, .account = p->account };
    struct budget_round r = { .asker = &a, .turn = p->turn, .used = 7, .next = 9, .seconds = 60 };
    struct budget_call  c = { .limit = BUDGET_FREE };

    AWAIT(c, budget_go_on(store, &c, &r));
    o->end = c.verb.end;
    verb_drop(&c.verb);
}

static void try_usage_of(const struct probe *p, struct outcome *o)
{
    struct asker      a = { .tenant = p->whose.tenant, .key = p->api_key, .account = p->account };
    struct usage_call c = { .n = 0 };

    AWAIT(c, usage_of(store, &c, &a));
    o->end = c.verb.end;
    o->n = c.n + c.n_limits;
    for (size_t i = 0; i < c.n; i++)
        SEE(o, c.models[i].model);
    verb_drop(&c.verb);
}

/* These two have no call to wait for. */
static void wait_idle(struct outcome *o)
{
    do
        turn_for(3);
    while (!store_is_idle(store));
    o->end = STORE_OK;
}

static void try_budget_settle(const struct probe *p, struct outcome *o)
{
    struct budget_bill b = { .tenant = p->whose.tenant,
                             .key = p->api_key,
                             .account = p->account,
                             .turn = p->turn,
                             .model = p->model,
                             .usage = { p->tokens, 0 } };

    budget_settle(store, &b);
    wait_idle(o);
}

static void try_budget_sweep(const struct probe *p, struct outcome *o)
{
    (void)p;
    budget_sweep(store);
    wait_idle(o);
}

/* ---- all of them ------------------------------------------------------------------------ */

#define ROW(name, manner, changes, has_doors, tells, texts)                                        \
    { #name, try_##name, manner, changes, has_doors, tells, texts }

const struct verb_row verb_rows[] = {
    ROW(chat_open, VERB_MAKES_OWN, false, true, true, 8),
    ROW(chat_take_up, VERB_MAKES_OWN, false, true, true, 8),
    ROW(chat_find, VERB_FINDS_NOTHING, false, true, true, 3),
    ROW(chat_rename, VERB_FINDS_NOTHING, true, true, true, 4),
    ROW(chat_entitle, VERB_FINDS_NOTHING, false, true, true, 4),
    ROW(chat_pin, VERB_FINDS_NOTHING, true, true, true, 3),
    ROW(chat_keep_session, VERB_FINDS_NOTHING, true, true, true, 4),
    ROW(chat_assign, VERB_FINDS_NOTHING, true, true, true, 4),
    ROW(chat_delete, VERB_FINDS_NOTHING, true, true, true, 3),
    ROW(chat_page, VERB_LISTS_NOTHING, false, true, true, 2),
    ROW(chat_list_behind, VERB_LISTS_NOTHING, false, true, true, 2),
    ROW(message_append, VERB_FINDS_NOTHING, true, true, true, 11),
    ROW(message_page, VERB_FINDS_NOTHING, false, true, true, 3),
    ROW(message_last, VERB_FINDS_NOTHING, false, true, true, 3),
    ROW(message_annotate, VERB_FINDS_NOTHING, true, true, true, 4),
    ROW(message_search, VERB_LISTS_NOTHING, false, true, true, 3),
    ROW(messages_replace, VERB_FINDS_NOTHING, true, true, true, 3),
    ROW(pending_put, VERB_FINDS_NOTHING, true, true, true, 7),
    ROW(pending_take, VERB_KEEPS_HOUSE, false, false, true, 0),
    ROW(pending_drop, VERB_KEEPS_HOUSE, false, false, true, 0),
    ROW(pending_give_back, VERB_KEEPS_HOUSE, false, false, true, 0),
    ROW(pending_refuse, VERB_KEEPS_HOUSE, false, false, true, 0),
    ROW(pending_list, VERB_FINDS_NOTHING, false, true, true, 3),
    ROW(operation_begin, VERB_FINDS_NOTHING, true, false, true, 6),
    ROW(operation_forget, VERB_FINDS_NOTHING, true, false, true, 1),
    ROW(operation_find, VERB_FINDS_NOTHING, false, false, true, 1),
    ROW(operation_complete, VERB_FINDS_NOTHING, true, false, true, 3),
    ROW(operations_settle, VERB_KEEPS_HOUSE, false, false, true, 0),
    ROW(turns_running, VERB_LISTS_NOTHING, false, false, true, 1),
    ROW(turn_claim, VERB_MAKES_OWN, false, true, true, 11),
    ROW(turn_find_key, VERB_FINDS_NOTHING, false, false, true, 2),
    ROW(turn_end, VERB_IS_ANOTHERS, true, false, true, 8),
    ROW(turn_find, VERB_FINDS_NOTHING, false, false, true, 2),
    ROW(turn_of_chat, VERB_FINDS_NOTHING, false, true, true, 3),
    ROW(turn_read, VERB_FINDS_NOTHING, false, false, true, 2),
    ROW(turn_stop, VERB_FINDS_NOTHING, true, false, true, 2),
    ROW(turns_extend, VERB_LISTS_NOTHING, true, false, true, 2),
    ROW(journal_add, VERB_LISTS_NOTHING, true, false, true, 2),
    ROW(journals_clear, VERB_KEEPS_HOUSE, false, false, true, 0),
    ROW(sweep_start, VERB_KEEPS_HOUSE, false, false, true, 1),
    ROW(asker_by_key, VERB_FINDS_NOTHING, false, false, true, 0),
    ROW(asker_by_subject, VERB_MAKES_OWN, false, false, true, 2),
    ROW(asker_introduced, VERB_MAKES_OWN, true, false, true, 4),
    ROW(tools_of_tenant, VERB_IS_THE_SITES, false, false, true, 0),
    ROW(budget_reserve, VERB_LISTS_NOTHING, true, false, true, 1),
    ROW(budget_settle, VERB_LISTS_NOTHING, true, false, false, 0),
    ROW(budget_go_on, VERB_LISTS_NOTHING, true, false, false, 0),
    ROW(usage_of, VERB_LISTS_NOTHING, false, false, true, 0),
    ROW(budget_sweep, VERB_KEEPS_HOUSE, false, false, false, 0),
};
const size_t n_verb_rows = COUNT(verb_rows);

const struct verb_row *verb_of(const char *name)
{
    for (size_t i = 0; i < n_verb_rows; i++)
        if (strcmp(verb_rows[i].name, name) == 0)
            return &verb_rows[i];
    fail_msg("no verb %s", name);
    return NULL;
}

struct outcome verb_try(const struct verb_row *row, const struct probe *p)
{
    struct outcome o = { .end = STORE_AWAY, .seen = BUF(SEEN_MAX) };

    row->run(p, &o);
    return o;
}
