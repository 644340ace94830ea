/* verbs.c - keeps the store busy, and says what that cost. One line of JSON comes out.
 *
 *     verbs URL pairs CONNECTIONS AT_ONCE CHATS SECONDS
 *     verbs URL journal CONNECTIONS TURNS EVENTS SECONDS
 *
 * pairs: so many claims at once, each of the next chat; one that has ended makes place for
 * another. journal: so many running turns, and each second a piece of so many events of each,
 * all in one statement; their leases every ten seconds.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/event_bytes.h"
#include "net/loop.h"
#include "store/running.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { IDS = 24, WARM_UP_S = 1, LEASE_S = 30, EXTEND_EVERY = 10, TAKEN_AT_ONCE = 64 };

static const struct whose whose = { 1, STR_INIT("bench"), STR_INIT("") };

static struct store *store;
static size_t        at_once, n_chats, seconds, failed, claimed, counted;
static uint64_t      began, began_cpu;
static bool          counting, stopping;

static uint64_t cpu_ns(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * CLOCK_S +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static void start_counting(void)
{
    counting = true;
    counted = 0;
    began = clock_exact();
    began_cpu = cpu_ns();
}

static void check(const struct verb *v)
{
    if (v->end == STORE_OK)
        return;
    if (failed++ == 0)
        fprintf(stderr, "verbs: %s: %s (%s)\n", store_end_name(v->end), v->why, store_why(store));
}

/* ---- pairs ----------------------------------------------------------------------------- */

static struct turn_call *claims;
static int64_t          *chats;
static struct deadline   phase;

static void claim(struct turn_call *c)
{
    char               id[IDS];
    struct turn_taking t = { .holder = STR("bench"),
                             .model = STR("echo"),
                             .lease = LEASE_S * CLOCK_S,
                             .keeps_chat = true,
                             .role = KEPT_USER,
                             .content = STR("What is the capital of France, and why?") };

    t.id = (struct str){ id, (size_t)snprintf(id, sizeof id, "pair-%zu", claimed) };
    t.chat.id = chats[claimed % n_chats];
    claimed++;
    turn_claim(store, c, &whose, &t);
}

static void on_claimed(struct verb *v)
{
    check(v);
    counted++;
    if (!stopping)
        claim(LIST_OWNER(v, struct turn_call, verb));
}

static void on_phase(struct deadline *d)
{
    if (!counting) {
        start_counting();
        deadline_arm(d, clock_now() + seconds * CLOCK_S);
        return;
    }
    stopping = true;
    loop_stop();
}

static void on_chat(struct verb *v)
{
    check(v);
    if (++counted == n_chats)
        loop_stop();
}

static void make_chats(void)
{
    struct chat_call *calls = mem_new(n_chats * sizeof *calls);
    char              uid[IDS];

    for (size_t i = 0; i < n_chats; i++) {
        struct new_chat n = { .uid = { uid, (size_t)snprintf(uid, sizeof uid, "c%zu", i) } };

        calls[i].verb.done = on_chat;
        chat_open(store, &calls[i], &whose, &n);
    }
    loop_run();
    chats = mem_new(n_chats * sizeof *chats);
    for (size_t i = 0; i < n_chats; i++) {
        chats[i] = calls[i].n ? calls[i].chats[0].id : 0;
        verb_drop(&calls[i].verb);
    }
    mem_free(calls);
}

static void run_pairs(void)
{
    double took;

    make_chats();
    claims = mem_new(at_once * sizeof *claims);
    for (size_t i = 0; i < at_once; i++) {
        claims[i].verb.done = on_claimed;
        claim(&claims[i]);
    }
    phase.run = on_phase;
    deadline_arm(&phase, clock_now() + WARM_UP_S * CLOCK_S);
    loop_run();
    took = (double)(clock_exact() - began);
    printf("{\"pairs_per_second\": %.1f, \"cpu_us_per_pair\": %.2f, \"cpu_share\": %.4f, "
           "\"failed\": %zu}\n",
           (double)counted * 1e9 / took, (double)(cpu_ns() - began_cpu) / 1000 / (double)counted,
           (double)(cpu_ns() - began_cpu) / took, failed);
    for (size_t i = 0; i < at_once; i++)
        verb_drop(&claims[i].verb);
    mem_free(claims);
}

/* ---- the journal ----------------------------------------------------------------------- */

static char (*names)[IDS];
static struct turn_piece  *pieces;
static struct turn_name   *turns;
static struct buf         *words;
static struct running_call adding, extending;
static struct deadline     tick;
static size_t              n_turns, n_events, ticks, late;
static uint64_t            asked, slowest;

static void on_added(struct verb *v)
{
    uint64_t took = clock_exact() - asked;

    check(v);
    slowest = counting && took > slowest ? took : slowest;
    failed += adding.n != n_turns;
}

static void on_extended(struct verb *v)
{
    check(v);
    failed += extending.n != n_turns;
}

/* What the turns of a loop have said since the last second. */
static void say(void)
{
    for (size_t i = 0; i < n_turns; i++) {
        buf_clear(&words[i]);
        for (size_t k = 0; k < n_events; k++)
            event_bytes_add(&words[i],
                            &(struct event){ .type = EVENT_DELTA, .text = STR(" word") });
        pieces[i].piece.seq = (int64_t)(ticks * n_events);
        pieces[i].piece.events = buf_str(&words[i]);
    }
}

static void on_tick(struct deadline *d)
{
    if (ticks == WARM_UP_S)
        start_counting();
    if (ticks == WARM_UP_S + seconds) {
        loop_stop();
        return;
    }
    deadline_arm(d, d->due + CLOCK_S);
    if (adding.verb.work) {
        late++;
        return;
    }
    say();
    asked = clock_exact();
    journal_add(store, &adding, STR("bench"), pieces, n_turns);
    if (ticks++ % EXTEND_EVERY == 0)
        turns_extend(store, &extending, STR("bench"), turns, n_turns, LEASE_S * CLOCK_S);
}

static void take_turn(struct turn_call *c)
{
    struct turn_taking t = { .holder = STR("bench"), .lease = LEASE_S * CLOCK_S };
    size_t             i = claimed++;

    snprintf(names[i], IDS, "turn-%zu", i);
    t.id = str_of(names[i]);
    turns[i] = pieces[i].turn = (struct turn_name){ 1, t.id };
    words[i] = BUF(1 << 20);
    turn_claim(store, c, &whose, &t);
}

static void on_taken(struct verb *v)
{
    check(v);
    if (++counted == n_turns)
        loop_stop();
    if (claimed < n_turns)
        take_turn(LIST_OWNER(v, struct turn_call, verb));
}

static void take_turns(void)
{
    static struct turn_call calls[TAKEN_AT_ONCE];

    for (size_t i = 0; i < TAKEN_AT_ONCE && claimed < n_turns; i++) {
        calls[i].verb.done = on_taken;
        take_turn(&calls[i]);
    }
    loop_run();
    for (size_t i = 0; i < TAKEN_AT_ONCE; i++)
        verb_drop(&calls[i].verb);
}

static void run_journal(void)
{
    double took, cpu;

    names = mem_new(n_turns * sizeof *names);
    pieces = mem_new(n_turns * sizeof *pieces);
    turns = mem_new(n_turns * sizeof *turns);
    words = mem_new(n_turns * sizeof *words);
    take_turns();
    adding.verb.done = on_added;
    extending.verb.done = on_extended;
    tick.run = on_tick;
    deadline_arm(&tick, clock_now() + CLOCK_MS);
    loop_run();
    took = (double)(clock_exact() - began);
    cpu = (double)(cpu_ns() - began_cpu);
    printf("{\"cpu_share\": %.4f, \"cpu_us_per_piece\": %.3f, \"slowest_ms\": %.1f, "
           "\"late\": %zu, \"bytes_per_piece\": %zu, \"failed\": %zu}\n",
           cpu / took, cpu / 1000 / (double)(seconds * n_turns), (double)slowest / 1e6, late,
           words[0].n, failed);
}

int main(int argc, char **argv)
{
    char                  why[PG_WHY_MAX] = "";
    struct store_settings s = {
        .pool = { .max_waiting = 1000000, .prepares = true, .connect_timeout = 5 * CLOCK_S }
    };
    bool is_pairs;

    if (argc != 7)
        return 2;
    mem_begin();
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_LOGFMT);
    is_pairs = strcmp(argv[2], "pairs") == 0;
    s.pool.conninfo = str_of(argv[1]);
    s.pool.connections = strtoul(argv[3], NULL, 10);
    at_once = n_turns = strtoul(argv[4], NULL, 10);
    n_chats = n_events = strtoul(argv[5], NULL, 10);
    seconds = strtoul(argv[6], NULL, 10);
    loop_open();
    store = store_open(&s, why);
    if (!store) {
        fprintf(stderr, "verbs: %s\n", why);
        return 2;
    }
    if (is_pairs)
        run_pairs();
    else
        run_journal();
    fflush(stdout);
    _Exit(failed ? 1 : 0);
}
