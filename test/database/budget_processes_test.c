/* budget_processes_test.c - many processes at one budget: they reserve, settle, forget and are
 * killed at any moment, and nobody ever gets more than there is, nor is anything lost for longer
 * than a reservation lasts.
 */
#include "base/clock.h"
#include "base/log.h"
#include "database/kept.h"
#include "net/loop.h"
#include "pg/pg_now.h"
#include "store/budget.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum { WORKERS = 4, AT_ONCE = 6, HELD = 12, TOKENS = 60000, MONEY = 30000, STREAMS = 200 };

/* ---- a worker: a process of its own, until it is killed ---------------------------------- */

struct held {
    char     turn[40];
    int64_t  key;
    uint64_t tokens, money;
};

static struct worker {
    uint64_t      seed, n_turns, lasts;
    char          name[24];
    int64_t       keys[2];
    struct store *store;
    struct held   held[HELD];
    size_t        n_held, asked;
    bool          answered;
} me;

/* The watcher hears of a worker's end that it has not caused itself. */
static void give_up(const char *why)
{
    fprintf(stderr, "a worker: %s\n", why);
    _exit(1);
}

static struct asking {
    struct budget_call call;
    struct held        what;
} askings[AT_ONCE];

static void on_answer(struct verb *v)
{
    if (v->end != STORE_OK)
        give_up(v->why);
    me.answered = --me.asked == 0;
}

static void ask(struct asking *a)
{
    struct asker asker = { .tenant = 1, .is_limited = true };

    a->what.key = asker.key = me.keys[check_random(&me.seed) % 2];
    a->what.tokens = check_random(&me.seed) % 200;
    a->what.money = check_random(&me.seed) % 100;
    snprintf(a->what.turn, sizeof a->what.turn, "%s-%llu", me.name,
             (unsigned long long)me.n_turns++);
    a->call = (struct budget_call){ .verb = { .done = on_answer } };
    budget_reserve(me.store, &a->call,
                   &(struct budget_ask){ .asker = &asker,
                                         .turn = str_of(a->what.turn),
                                         .tokens = a->what.tokens,
                                         .money = a->what.money,
                                         .seconds = me.lasts });
}

/* It has used a part of what was reserved. Every ninth is forgotten, every seventh comes twice. */
static void settle_one(void)
{
    size_t             i = check_random(&me.seed) % me.n_held;
    struct held        h = me.held[i];
    uint64_t           used = check_random(&me.seed) % (h.tokens + 1);
    struct budget_bill b = { .tenant = 1,
                             .key = h.key,
                             .turn = str_of(h.turn),
                             .model = STR("m"),
                             .usage = { used / 2, used - used / 2 },
                             .money = check_random(&me.seed) % (h.money + 1) };

    me.held[i] = me.held[--me.n_held];
    if (check_random(&me.seed) % 9 == 0)
        return;
    budget_settle(me.store, &b);
    if (check_random(&me.seed) % 7 == 0)
        budget_settle(me.store, &b);
}

static void work_round(void)
{
    size_t n = me.asked = 1 + check_random(&me.seed) % AT_ONCE;

    me.answered = false;
    for (size_t i = 0; i < n; i++)
        ask(&askings[i]);
    turn_until(&me.answered, 20000);
    for (size_t i = 0; i < n; i++) {
        if (askings[i].call.limit == BUDGET_FREE)
            me.held[me.n_held++] = askings[i].what;
        verb_drop(&askings[i].call.verb);
    }
    while (me.n_held && (me.n_held > HELD - AT_ONCE || check_random(&me.seed) % 2))
        settle_one();
}

static _Noreturn void work(char **argv)
{
    struct store_settings s = { .pool = { .conninfo = str_of(argv[2]),
                                          .connections = 2,
                                          .max_waiting = 1000,
                                          .prepares = true,
                                          .connect_timeout = 5 * CLOCK_S } };
    char                  why[PG_WHY_MAX] = "";

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_ERROR, LOG_LOGFMT);
    loop_open();
    me.keys[0] = strtoll(argv[3], NULL, 10);
    me.keys[1] = strtoll(argv[4], NULL, 10);
    me.seed = strtoull(argv[5], NULL, 10);
    me.lasts = strtoull(argv[6], NULL, 10);
    snprintf(me.name, sizeof me.name, "w%s", argv[5]);
    me.store = store_open(&s, why);
    if (!me.store)
        give_up(why);
    for (;;)
        work_round();
}

/* ---- the watcher ------------------------------------------------------------------------- */

static struct pg_now *db;
static int64_t        keys[2];
static pid_t          workers[WORKERS];

static int64_t number(const char *sql)
{
    const struct pg_rows *rows = pg_now_ask(db, sql, PG_NO_PARAMS);

    check_that(rows && pg_n_rows(rows) == 1, "%s: %s", sql, pg_now_why(db));
    return pg_get_int(rows, 0, 0);
}

static void rest_ms(long ms)
{
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static void start_worker(size_t i, uint64_t seed, uint64_t lasts)
{
    char words[4][24];

    snprintf(words[0], sizeof words[0], "%lld", (long long)keys[0]);
    snprintf(words[1], sizeof words[1], "%lld", (long long)keys[1]);
    snprintf(words[2], sizeof words[2], "%llu", (unsigned long long)seed);
    snprintf(words[3], sizeof words[3], "%llu", (unsigned long long)lasts);
    workers[i] = fork();
    check_that(workers[i] >= 0, "fork");
    if (workers[i] == 0) {
        execl("/proc/self/exe", "worker", "work", cluster_url().p, words[0], words[1], words[2],
              words[3], NULL);
        _exit(127);
    }
}

static void kill_worker(size_t i)
{
    int status = 0;

    kill(workers[i], SIGKILL);
    waitpid(workers[i], &status, 0);
    workers[i] = 0;
    check_that(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
               "worker %zu had ended by itself: %d", i, status);
}

/* The limits are those of a day: none may turn in between. */
static void avoid_midnight(void)
{
    while (number("SELECT (86400 - extract(epoch FROM (now() AT TIME ZONE 'UTC')::time))::bigint") <
           30)
        rest_ms(1000);
}

/* Two keys with an allowance each, and one of the tenant, which is less than both together. */
static void begin(void)
{
    static const char *const made[] = {
        "TRUNCATE runnel.api_key, runnel.allowance, runnel.spending, runnel.reservation,"
        " runnel.pace, runnel.billed, runnel.usage CASCADE",
        "INSERT INTO runnel.api_key (tenant, name, hash, hint) SELECT 1, n, sha256(n::bytea), 'rk'"
        " FROM unnest(ARRAY['a', 'b']) n",
    };
    char why[PG_WHY_MAX] = "", sql[300];

    db = pg_now_open(cluster_url(), 5 * CLOCK_S, why);
    check_that(db, "%s", why);
    avoid_midnight();
    for (size_t i = 0; i < COUNT(made); i++)
        check_that(pg_now_do(db, made[i]), "%s", pg_now_why(db));
    snprintf(sql, sizeof sql,
             "INSERT INTO runnel.allowance (tenant, api_key, tokens_per_day, money_per_day,"
             " streams) SELECT 1, id, %d, %d, %d FROM runnel.api_key UNION ALL"
             " SELECT 1, NULL, %d, %d, %d",
             TOKENS * 2 / 3, MONEY, STREAMS, TOKENS, MONEY * 3 / 2, STREAMS * 3 / 2);
    check_that(pg_now_do(db, sql), "%s", pg_now_why(db));
    keys[0] = number("SELECT min(id) FROM runnel.api_key");
    keys[1] = number("SELECT max(id) FROM runnel.api_key");
}

static void end(void)
{
    pg_now_close(db);
}

#define OVERSPENT                                                                                  \
    "SELECT count(*) FROM runnel.allowance a"                                                      \
    " LEFT JOIN runnel.spending s ON s.tenant = a.tenant AND s.allowance = a.id"                   \
    " CROSS JOIN LATERAL (SELECT count(*) AS n, coalesce(sum(r.tokens), 0) AS tokens,"             \
    "  coalesce(sum(r.money), 0) AS money FROM runnel.reservation r WHERE r.tenant = a.tenant"     \
    "  AND r.allowance = a.id AND r.expires_at > now()) r"                                         \
    " WHERE coalesce(s.tokens, 0) + r.tokens > a.tokens_per_day"                                   \
    " OR coalesce(s.money, 0) + r.money > a.money_per_day OR r.n > a.streams"

/* What was settled of the tenant's is what usage says, and what was settled of its keys'. */
#define UNEQUAL                                                                                    \
    "SELECT ((SELECT coalesce(sum(prompt_tokens + completion_tokens), 0) FROM runnel.usage)"       \
    " <> t.tokens OR (SELECT coalesce(sum(money), 0) FROM runnel.usage) <> t.money"                \
    " OR k.tokens <> t.tokens OR k.money <> t.money)::int FROM"                                    \
    " (SELECT coalesce(sum(s.tokens), 0) AS tokens, coalesce(sum(s.money), 0) AS money FROM"       \
    "  runnel.spending s JOIN runnel.allowance a ON a.id = s.allowance WHERE a.api_key IS NULL) t,"   \
    " (SELECT coalesce(sum(s.tokens), 0) AS tokens, coalesce(sum(s.money), 0) AS money FROM"       \
    "  runnel.spending s JOIN runnel.allowance a ON a.id = s.allowance"                            \
    "  WHERE a.api_key IS NOT NULL) k"

static void look(void)
{
    check_that(number(OVERSPENT) == 0, "more was given than there is");
    check_that(number(UNEQUAL) == 0, "what was spent is not what was used");
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Processes die within what they do: a statement that was sent is carried out all the same. */
static void wait_for_backends(void)
{
    int64_t until = now_ms() + 10000;

    while (number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'runnel' AND "
                  "pid <> pg_backend_pid()")) {
        check_that(now_ms() < until, "backends outlive their clients");
        rest_ms(5);
    }
}

static void report(const char *when, uint64_t seed, unsigned kills)
{
    print_message("seed %llu, %s: %u killed, %lld settled, %lld tokens spent, %lld reservations "
                  "left of %lld tokens\n",
                  (unsigned long long)seed, when, kills,
                  (long long)number("SELECT count(*) FROM runnel.billed"),
                  (long long)number("SELECT coalesce(max(tokens), 0) FROM runnel.spending"),
                  (long long)number("SELECT count(*) FROM runnel.reservation"),
                  (long long)number("SELECT coalesce(sum(tokens), 0)::bigint FROM"
                                    " runnel.reservation"));
}

/* Otherwise it shows little. */
static bool is_little(void)
{
    return number("SELECT count(*) FROM runnel.billed") < 100 ||
           number("SELECT max(tokens) FROM runnel.spending") < TOKENS / 3;
}

static void watch_for(int64_t ms, uint64_t first_seed)
{
    int64_t  until = now_ms() + ms, next_kill = now_ms() + 300;
    uint64_t seed = first_seed, chance = first_seed;
    unsigned kills = 0;

    for (size_t i = 0; i < WORKERS; i++)
        start_worker(i, seed++, 600);
    while (now_ms() < until || (is_little() && now_ms() < until + 20000)) {
        look();
        if (now_ms() >= next_kill) {
            size_t i = check_random(&chance) % WORKERS;

            kill_worker(i);
            start_worker(i, seed++, 600);
            next_kill = now_ms() + 50 + (int64_t)(check_random(&chance) % 300);
            kills++;
        }
    }
    for (size_t i = 0; i < WORKERS; i++)
        kill_worker(i);
    wait_for_backends();
    look();
    report("never too much", first_seed, kills + WORKERS);
    check_that(kills >= 4, "%u killed", kills);
}

TEST(nobody_gets_more_than_there_is)
{
    static const uint64_t seeds[] = { 20261, 77003 };

    for (size_t i = 0; i < COUNT(seeds); i++) {
        begin();
        watch_for(3500, seeds[i]);
        check_that(!is_little(), "hardly a turn was settled");
        assert_true(number("SELECT count(*) FROM runnel.reservation") > 0);
        end();
    }
}

/* ---- what is left behind ------------------------------------------------------------------ */

enum { LASTS_S = 3 };

static enum budget_limit reserve(const char *turn, int64_t tokens)
{
    struct asker       asker = { .tenant = 1, .key = keys[0], .is_limited = true };
    struct budget_call c = { .limit = BUDGET_FREE };
    struct budget_ask  what = {
         .asker = &asker, .turn = str_of(turn), .tokens = (uint64_t)tokens, .seconds = 60
    };

    AWAIT(c, budget_reserve(store, &c, &what));
    check_end(c, STORE_OK);
    verb_drop(&c.verb);
    return c.limit;
}

#define UNEXPIRED                                                                                  \
    "SELECT count(*) FROM runnel.reservation r JOIN runnel.allowance a ON a.id = r.allowance"      \
    " WHERE a.api_key IS NULL AND r.tokens > 0 AND r.expires_at > now()"
#define REST                                                                                       \
    "SELECT min(a.tokens_per_day - coalesce(s.tokens, 0)) FROM runnel.allowance a LEFT JOIN"       \
    " runnel.spending s ON s.tenant = a.tenant AND s.allowance = a.id WHERE a.api_key IS NULL OR"  \
    " a.api_key = (SELECT min(id) FROM runnel.api_key)"

static void leave_reservations_behind(uint64_t seed)
{
    int64_t until = now_ms() + 10000;

    for (size_t i = 0; i < WORKERS; i++)
        start_worker(i, seed + i, LASTS_S);
    while (number("SELECT count(*) FROM runnel.billed") < 20) {
        check_that(now_ms() < until, "the workers do not work");
        rest_ms(5);
    }
    for (size_t i = 0; i < WORKERS; i++)
        kill_worker(i);
    wait_for_backends();
    report("left behind", seed, WORKERS);
}

TEST(what_the_dead_had_reserved_comes_back_when_it_expires)
{
    enum budget_limit early;
    int64_t           rest;

    begin();
    leave_reservations_behind(31337);
    clock_update();                           /* the loop has not turned so far */
    open_store(2);
    rest = number(REST);
    assert_true(number("SELECT count(*) FROM runnel.reservation") > 0);
    check_that(number("SELECT count(*) FROM runnel.reservation WHERE expires_at > now() + "
                      "interval '3 s'") == 0,
               "something is reserved for longer than was asked");
    early = reserve("early", rest);
    check_that(number(UNEXPIRED) == 0 || early == BUDGET_DAY_TOKENS,
               "what others have reserved was given away");
    while (number(UNEXPIRED))
        turn_for(20);
    if (early != BUDGET_FREE) {               /* on a slow machine all had expired by then */
        assert_int_equal(reserve("too much", rest + 1), BUDGET_DAY_TOKENS);
        assert_int_equal(reserve("all", rest), BUDGET_FREE);
    }
    assert_int_equal(reserve("more", 1), BUDGET_DAY_TOKENS);
    look();
    close_store();
    end();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_gets_more_than_there_is),
        cmocka_unit_test(what_the_dead_had_reserved_comes_back_when_it_expires),
    };

    if (argc == 7 && strcmp(argv[1], "work") == 0)
        work(argv);
    return cmocka_run_group_tests(tests, kept_begin, kept_end);
}
