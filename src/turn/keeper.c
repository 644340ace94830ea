#include "turn/keeper.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "chat/event_bytes.h"
#include "turn/turn.h"

#include <string.h>

enum {
    BUCKETS = 1024,
    HOLDER_LENGTH = 20,
    PIECES_AT_ONCE = 500,
    CLEAR_S = 60,
    CLEAR_AT_ONCE = 1000,
    LEASES_PER_TERM = 3,
    PIECES_LIMIT = 1 << 30,
};

static struct {
    struct store               *store;
    const struct turn_settings *settings;
    char                        holder[HOLDER_LENGTH + 1];
    struct list                 turns, waiters;
    struct list                 by_id[BUCKETS], by_key[BUCKETS];
    size_t                      entered;
    struct running_call         adding, extending, clearing;
    struct sweep                sweep;
    bool                        is_sweeping;
    bool                        is_failing; /* the journal was not written the last time */
    bool                        is_overdue; /* its next round waits for the end of this one */
    struct deadline             journal, leases, sweeps, clears;
    uint64_t                    steady_since; /* nobody is taken for dead while the database
                                                 cannot be told that he lives   */
} keeper;

/* ---- names ------------------------------------------------------------------------------ */

static struct list *bucket(struct list *table, int32_t tenant, struct str name)
{
    return &table[(hash_text(name) + (uint64_t)tenant) % BUCKETS];
}

static bool is_whose(const struct kept *k, const struct whose *w)
{
    return k->whose.tenant == w->tenant && str_eq(k->whose.owner, w->owner);
}

void keeper_enter(struct kept *k)
{
    list_push(bucket(keeper.by_id, k->whose.tenant, k->id), &k->by_id);
    keeper.entered++;
    if (k->key.n)
        list_push(bucket(keeper.by_key, k->whose.tenant, k->key), &k->by_key);
}

struct kept *keeper_find(const struct whose *w, struct str id)
{
    LIST_EACH(bucket(keeper.by_id, w->tenant, id), l) {
        struct kept *k = LIST_OWNER(l, struct kept, by_id);

        if (is_whose(k, w) && str_eq(k->id, id))
            return k;
    }
    return NULL;
}

struct kept *keeper_find_key(const struct whose *w, struct str key)
{
    LIST_EACH(bucket(keeper.by_key, w->tenant, key), l) {
        struct kept *k = LIST_OWNER(l, struct kept, by_key);

        if (is_whose(k, w) && str_eq(k->key, key))
            return k;
    }
    return NULL;
}

struct kept *keeper_find_chat(const struct whose *w, int64_t chat)
{
    struct kept *newest = NULL;

    LIST_EACH(&keeper.turns, l) {
        struct kept *k = LIST_OWNER(l, struct kept, link);

        if (k->chat == chat && is_whose(k, w) && str_eq(k->whose.dialect, w->dialect))
            newest = k;
    }
    return newest;
}

/* ---- the journal ------------------------------------------------------------------------ */

static uint64_t journal_pause(void)
{
    return keeper.settings->journal_every * 3 / 4;    /* it has to arrive in time, too */
}

/* A piece that may have been written is sent again as it was, or it would be left out. */
static size_t piece_end(const struct kept *k)
{
    return k->sent > k->kept ? k->sent : k->tale->words.n;
}

static void copy_piece(const struct kept *k, size_t end, struct buf *out)
{
    if (k->kept > 0)                          /* else the tale's own is there   */
        event_bytes_begin(out);
    buf_add(out, (struct str){ k->tale->words.p + k->kept, end - k->kept });
}

static void send_pieces(struct kept **chosen, size_t n)
{
    struct buf         bytes = BUF(PIECES_LIMIT);
    struct turn_piece *pieces = mem_new(n * sizeof *pieces);
    size_t            *ends = mem_new(n * sizeof *ends);

    for (size_t i = 0; i < n; i++) {
        struct kept *k = chosen[i];
        size_t       end = piece_end(k);

        if (k->sent != end) {
            k->sent = end;
            k->sent_to = k->tale->next;
        }
        k->on_its_way = true;
        copy_piece(k, end, &bytes);
        ends[i] = bytes.n;
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = i ? ends[i - 1] : 0;

        pieces[i] = (struct turn_piece){ { chosen[i]->whose.tenant, chosen[i]->id },
                                         { chosen[i]->kept_to, { bytes.p + at, ends[i] - at } } };
    }
    journal_add(keeper.store, &keeper.adding, keeper_holder(), pieces, n);
    mem_free(ends);
    mem_free(pieces);
    buf_release(&bytes);
}

static size_t unkept(const struct kept *k)
{
    return k->tale->words.n - k->kept;
}

/* An empty piece would take the number of the next one. */
static bool is_to_be_written(const struct kept *k)
{
    size_t n = k->is_ending ? 0 : unkept(k);

    return n >= keeper.settings->journal_bytes || (k->is_due && n > 0);
}

/* As many of those that are due as go into one statement; on_added() goes on with the rest. */
static void write_journal(void)
{
    struct kept *chosen[PIECES_AT_ONCE];
    size_t       n = 0;

    if (keeper.adding.verb.work)
        return;
    LIST_EACH(&keeper.turns, l) {
        struct kept *k = LIST_OWNER(l, struct kept, link);

        if (n == PIECES_AT_ONCE)
            break;
        if (!is_to_be_written(k))
            continue;
        k->is_due = false;
        chosen[n++] = k;
    }
    if (n)
        send_pieces(chosen, n);
}

static bool is_round_over(void)
{
    LIST_EACH(&keeper.turns, l) {
        struct kept *k = LIST_OWNER(l, struct kept, link);

        if (k->is_due && is_to_be_written(k))
            return false;
    }
    return true;
}

/* Nobody's turn comes twice before everybody's has come once. A round that is late is followed by
 * the next one as soon as it is over: what was told at its beginning has waited for long. */
static void begin_round(void)
{
    keeper.is_overdue = !is_round_over();
    if (keeper.is_overdue)
        return;
    LIST_EACH(&keeper.turns, l)
        LIST_OWNER(l, struct kept, link)->is_due = true;
}

static void on_added(struct verb *v)
{
    keeper.is_failing = v->end != STORE_OK;
    if (v->end == STORE_AWAY)
        keeper.steady_since = clock_now();
    LIST_EACH(&keeper.turns, l) {
        struct kept *k = LIST_OWNER(l, struct kept, link);

        if (k->on_its_way && v->end == STORE_OK) {
            k->kept = k->sent;
            k->kept_to = k->sent_to;
        }
        k->on_its_way = false;
    }
    if (v->end != STORE_OK)
        return;
    if (keeper.is_overdue)
        begin_round();
    write_journal();
}

static void on_journal(struct deadline *d)
{
    if (keeper.turns.n == 0)
        return;
    deadline_arm(d, clock_now() + journal_pause());
    begin_round();
    write_journal();
}

void keeper_look(const struct kept *k)
{
    if (keeper.is_failing)
        return;                               /* every flush would try it again */
    if (unkept(k) >= keeper.settings->journal_bytes && !k->on_its_way)
        write_journal();
}

/* ---- leases ----------------------------------------------------------------------------- */

static void on_extended(struct verb *v)
{
    struct running_call *c = LIST_OWNER(v, struct running_call, verb);

    if (v->end != STORE_OK) {
        keeper.steady_since = clock_now();
        return;
    }
    for (size_t i = 0; i < c->n; i++) {
        LIST_EACH(bucket(keeper.by_id, c->leases[i].turn.tenant, c->leases[i].turn.id), l) {
            struct kept *k = LIST_OWNER(l, struct kept, by_id);

            if (!str_eq(k->id, c->leases[i].turn.id))
                continue;
            k->is_held = true;
            if (c->leases[i].stop_asked)
                turn_interrupt(k->turn, FAULT_STOPPED);
        }
    }
    LIST_EACH(&keeper.turns, l) {
        struct kept *k = LIST_OWNER(l, struct kept, link);

        if (k->lease_asked && !k->is_held)
            turn_interrupt(k->turn, FAULT_NOT_KEPT);  /* somebody has closed it */
        k->lease_asked = false;
    }
}

/* Of all turns that are told here, and of those that are being claimed: their rows may be
 * there already. */
static struct turn_name *name_all(size_t *n)
{
    struct turn_name *names = mem_new((keeper.entered + 1) * sizeof *names);

    *n = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        LIST_EACH(&keeper.by_id[i], l) {
            struct kept *k = LIST_OWNER(l, struct kept, by_id);

            names[(*n)++] = (struct turn_name){ k->whose.tenant, k->id };
        }
    }
    return names;
}

static void renew_leases(void)
{
    struct turn_name *names;
    size_t            n;

    if (keeper.extending.verb.work || keeper.turns.n == 0)
        return;
    LIST_EACH(&keeper.turns, l) {
        struct kept *k = LIST_OWNER(l, struct kept, link);

        k->lease_asked = true;
        k->is_held = false;
    }
    names = name_all(&n);
    turns_extend(keeper.store, &keeper.extending, keeper_holder(), names, n,
                 keeper.settings->lease);
    mem_free(names);
}

static void on_leases(struct deadline *d)
{
    renew_leases();
    if (keeper.turns.n)
        deadline_arm(d, clock_now() + keeper.settings->lease / LEASES_PER_TERM);
}

void keeper_hold(struct kept *k)
{
    if (keeper.turns.n == 0) {
        deadline_arm(&keeper.journal, clock_now() + journal_pause());
        deadline_arm(&keeper.leases, clock_now() + keeper.settings->lease / LEASES_PER_TERM);
    }
    list_push(&keeper.turns, &k->link);
}

void keeper_leave(struct kept *k)
{
    if (link_is_in(&k->link))
        list_take(&keeper.turns, &k->link);
    if (link_is_in(&k->by_id)) {
        list_take(bucket(keeper.by_id, k->whose.tenant, k->id), &k->by_id);
        keeper.entered--;
    }
    if (link_is_in(&k->by_key))
        list_take(bucket(keeper.by_key, k->whose.tenant, k->key), &k->by_key);
}

/* ---- what dead processes left --------------------------------------------------------------- */

static void on_swept(struct sweep *s)
{
    keeper.is_sweeping = false;
    if (s->end != STORE_OK)
        keeper.steady_since = clock_now();
    if (s->closed) {
        LOG(LOG_WARN, L_MSG("closed turns that nobody holds any more"), L_INT("turns", s->closed));
        metric_add(METRIC_TURNS_SWEPT, s->closed);
        deadline_arm(&keeper.sweeps, clock_now());    /* there may be more      */
    }
}

/* Whoever has slept, or waited for the database, for longer than his leases would take his own
 * turns for a dead man's. */
static void sweep(void)
{
    size_t            n;
    struct turn_name *alive = name_all(&n);

    keeper.is_sweeping = true;
    sweep_start(keeper.store, &keeper.sweep, keeper_holder(), keeper.settings->lease, alive, n);
    mem_free(alive);
}

static void on_sweeps(struct deadline *d)
{
    uint64_t now = clock_now(), lease = keeper.settings->lease;
    bool     is_steady = !keeper.steady_since || now - keeper.steady_since >= lease;

    deadline_arm(d, now + lease / 2);
    if (!keeper.is_sweeping && is_steady)
        sweep();
}

static void on_cleared(struct verb *v)
{
    if (v->end == STORE_OK && keeper.clearing.n >= CLEAR_AT_ONCE)
        deadline_arm(&keeper.clears, clock_now());
}

static void on_clears(struct deadline *d)
{
    deadline_arm(d, clock_now() + CLEAR_S * CLOCK_S);
    if (!keeper.clearing.verb.work)
        journals_clear(keeper.store, &keeper.clearing, keeper.settings->journal_keep,
                       keeper.settings->key_keep, CLEAR_AT_ONCE);
}

/* ---- news ----------------------------------------------------------------------------------- */

void keeper_wait(struct waiter *w)
{
    list_push(&keeper.waiters, &w->link);
}

void keeper_wait_no_more(struct waiter *w)
{
    if (link_is_in(&w->link))
        list_take(&keeper.waiters, &w->link);
}

bool keeper_hears(void)
{
    return store_hears(keeper.store);
}

static void tell_waiters(const struct str *id)
{
    struct link *next;

    for (struct link *l = keeper.waiters.head.next; l != &keeper.waiters.head; l = next) {
        struct waiter *w = LIST_OWNER(l, struct waiter, link);

        next = l->next;
        if (!id || str_eq(w->id, *id))
            w->news(w);
    }
}

static void turn_news(struct str id)
{
    tell_waiters(&id);
}

static void stop_news(struct str id)
{
    (void)id;
    renew_leases();                           /* which brings who is to stop    */
}

static void missed_news(void)
{
    renew_leases();
    tell_waiters(NULL);
}

static const struct store_news news = { turn_news, stop_news, missed_news };

/* ---- begin and end ------------------------------------------------------------------------------ */

static void begin(struct store *s)
{
    keeper.store = s;
    id_fill(keeper.holder, HOLDER_LENGTH);
    list_init(&keeper.turns);
    list_init(&keeper.waiters);
    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&keeper.by_id[i]);
        list_init(&keeper.by_key[i]);
    }
    keeper.adding.verb.done = on_added;
    keeper.extending.verb.done = on_extended;
    keeper.clearing.verb.done = on_cleared;
    keeper.sweep.done = on_swept;
    keeper.journal.run = on_journal;
    keeper.leases.run = on_leases;
    keeper.sweeps.run = on_sweeps;
    keeper.clears.run = on_clears;
    deadline_arm(&keeper.sweeps, clock_now());
    deadline_arm(&keeper.clears, clock_now());
    store_listen(s, &news);
}

void keeper_use(struct store *s, const struct turn_settings *settings)
{
    keeper.settings = settings;
    if (s && !keeper.store)
        begin(s);
}

void keeper_release(void)
{
    if (!keeper.store)
        return;
    store_listen(keeper.store, NULL);
    verb_drop(&keeper.adding.verb);
    verb_drop(&keeper.extending.verb);
    verb_drop(&keeper.clearing.verb);
    sweep_drop(&keeper.sweep);
    deadline_disarm(&keeper.journal);
    deadline_disarm(&keeper.leases);
    deadline_disarm(&keeper.sweeps);
    deadline_disarm(&keeper.clears);
    memset(&keeper, 0, sizeof keeper);
}

struct store *keeper_store(void)
{
    return keeper.store;
}

struct str keeper_holder(void)
{
    return (struct str){ keeper.holder, HOLDER_LENGTH };
}
