#include "turn/reading.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/event_bytes.h"
#include "turn/keeper.h"

enum {
    PIECES = 100,
    LOOK_MS = 400,                            /* where no news are heard        */
    LOOK_HEARING_MS = 3000,                   /* news may be lost on their way  */
    PATIENCE_S = 30,                          /* with a database that is away   */
};

struct reading {
    struct link       link;
    struct arena      arena;
    struct tale      *tale;
    struct whose      whose;
    struct waiter     waiter; /* its id is the turn's           */
    struct turn_facts facts;
    struct turn_call  call;
    struct deadline   look;
    int64_t           next; /* the event that is to be told   */
    bool              news; /* came while it was looking      */
    uint64_t          away_since;
};

static struct list all = { .head = { &all.head, &all.head } };

static void look(struct reading *r);

static void reading_free(struct reading *r)
{
    verb_drop(&r->call.verb);
    deadline_disarm(&r->look);
    keeper_wait_no_more(&r->waiter);
    list_take(&all, &r->link);
    arena_release(&r->arena);
    mem_free(r);
}

static void end(struct reading *r, const struct event *last)
{
    struct tale *tale = r->tale;

    reading_free(r);
    tale_end(tale, last);
}

static void fail(struct reading *r, enum fault fault)
{
    end(r, &(struct event){ .type = EVENT_ERROR, .fault = fault });
}

static void on_deserted(struct tale *tale)
{
    struct reading *r = tale->teller;

    reading_free(r);
    tale_free(tale);
}

static const struct teller_ops teller_ops = { .deserted = on_deserted };

/* ---- what is there ------------------------------------------------------------------------ */

static void begin_tale(struct reading *r)
{
    const struct kept_turn *k = &r->call.turn;

    if (r->tale->has_begun)
        return;
    r->facts = (struct turn_facts){ r->waiter.id,   k->chat,      k->question,  k->answer,
                                    k->question_at, k->answer_at, k->created_at };
    tale_begin(r->tale, &r->facts, r->next);
}

/* True: it was the last word, and all is over. */
static bool tell(struct reading *r, const struct event *ev)
{
    r->next++;
    if (ev->type == EVENT_FINISH || ev->type == EVENT_ERROR) {
        end(r, ev);
        return true;
    }
    tale_tell(r->tale, ev);
    return false;
}

static bool tell_piece(struct reading *r, const struct journal_piece *p)
{
    struct event_bytes b = event_bytes_of(p->events);
    struct event       ev;

    if (p->seq > r->next) {                   /* what was between is forgotten  */
        fail(r, FAULT_NOT_KEPT);
        return true;
    }
    for (int64_t n = p->seq; event_bytes_next(&b, &ev); n++)
        if (n == r->next && tell(r, &ev))
            return true;
    return false;
}

static bool tell_pieces(struct reading *r)
{
    for (size_t i = 0; i < r->call.n_pieces; i++)
        if (tell_piece(r, &r->call.pieces[i]))
            return true;
    return false;
}

/* What is known is the answer as a whole. */
static void tell_answer(struct reading *r)
{
    const struct kept_turn *k = &r->call.turn;
    struct event            start = { .type = EVENT_START };
    struct event            reasoning = { .type = EVENT_REASONING, .text = k->reasoning };
    struct event            text = { .type = EVENT_DELTA, .text = k->content };

    tale_tell(r->tale, &start);
    if (k->reasoning.n)
        tale_tell(r->tale, &reasoning);
    if (k->content.n)
        tale_tell(r->tale, &text);
}

/* A reader who has heard some of it cannot hear the rest from the answer as a whole. */
static bool tell_what_is_there(struct reading *r, bool has_ended)
{
    bool is_gone = has_ended && r->call.n_pieces == 0;

    if (is_gone && r->next > 0) {
        fail(r, FAULT_NOT_KEPT);
        return true;
    }
    if (is_gone)
        tell_answer(r);
    return tell_pieces(r);
}

static void end_as_kept(struct reading *r)
{
    const struct kept_turn *k = &r->call.turn;
    struct event            usage = {
                   .type = EVENT_USAGE, .usage = { (uint64_t)k->prompt_tokens, (uint64_t)k->completion_tokens }
    };
    enum fault fault = fault_read(k->fault);

    if (k->state != KEPT_COMPLETE) {
        fail(r, fault ? fault : FAULT_SHUTDOWN);
        return;
    }
    if (k->prompt_tokens || k->completion_tokens)
        tale_tell(r->tale, &usage);
    end(r, &(struct event){ .type = EVENT_FINISH, .finish = finish_read(k->finish) });
}

/* ---- looking ------------------------------------------------------------------------------- */

static void look_later(struct reading *r, uint64_t ms)
{
    deadline_arm(&r->look, clock_now() + ms * CLOCK_MS);
}

static void look_again(struct deadline *d)
{
    look(LIST_OWNER(d, struct reading, look));
}

static void come_back(struct reading *r)
{
    uint64_t now = clock_now();

    if (!r->away_since)
        r->away_since = now;
    if (now - r->away_since > PATIENCE_S * CLOCK_S)
        fail(r, FAULT_NO_DATABASE);
    else
        look_later(r, LOOK_MS);
}

static void on_read(struct verb *v)
{
    struct reading *r = LIST_OWNER(v, struct reading, call.verb);
    bool            has_ended = r->call.turn.state != KEPT_STREAMING;

    if (v->end == STORE_NOT_FOUND || v->end == STORE_REFUSED) {
        fail(r, FAULT_NO_CHAT);
        return;
    }
    if (v->end != STORE_OK) {
        come_back(r);
        return;
    }
    r->away_since = 0;
    begin_tale(r);
    if (tell_what_is_there(r, has_ended))
        return;
    tale_flush(r->tale);
    if (r->call.is_more || r->news)
        look(r);
    else if (has_ended)
        end_as_kept(r);
    else
        look_later(r, keeper_hears() ? LOOK_HEARING_MS : LOOK_MS);
}

static void look(struct reading *r)
{
    r->news = false;
    turn_read(keeper_store(), &r->call, &r->whose, r->waiter.id, r->next, PIECES);
}

static void on_news(struct waiter *w)
{
    struct reading *r = LIST_OWNER(w, struct reading, waiter);

    if (r->call.verb.work)
        r->news = true;
    else
        look_later(r, 0);
}

/* ---- begin ----------------------------------------------------------------------------------- */

static struct reading *reading_new(const struct whose *w, struct str turn, int64_t from)
{
    struct reading *r = mem_new(sizeof *r);

    r->whose = (struct whose){ w->tenant, arena_str(&r->arena, w->dialect),
                               arena_str(&r->arena, w->owner) };
    r->waiter = (struct waiter){ .id = arena_str(&r->arena, turn), .news = on_news };
    r->next = from;
    r->call.verb.done = on_read;
    r->look.run = look_again;
    keeper_wait(&r->waiter);
    list_push(&all, &r->link);
    return r;
}

void reading_take_over(struct tale *tale, const struct whose *w, struct str turn)
{
    struct reading *r;

    if (tale->sinks.n == 0) {
        tale_free(tale);
        return;
    }
    r = reading_new(w, turn, 0);
    r->tale = tale;
    tale_take_over(tale, &teller_ops, r);
    look(r);
}

void reading_start(struct sink *k, const struct whose *w, struct str turn, int64_t from)
{
    struct kept    *here = keeper_find(w, turn);
    struct reading *r;

    if (here) {
        tale_join(here->tale, k, from);
        return;
    }
    r = reading_new(w, turn, from);
    r->tale = tale_new(&teller_ops, r, TALE_LIMIT);
    tale_join(r->tale, k, from);
    look(r);
}

size_t readings_alive(void)
{
    return all.n;
}
