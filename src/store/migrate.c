#include "store/migrate.h"

#include "base/clock.h"
#include "wire/sha256.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOK_AGAIN_MS = 200, STATEMENT_MAX_BYTES = 1 << 20 };

/* The letters of "runnel"; such locks are per database. */
#define LOCK   "x'72756e6e656c'::bigint"

#define UNLOCK "SELECT pg_advisory_unlock(" LOCK ")"

/* A migration that waits for a lock has everybody else wait behind it. */
#define LOCK_TIMEOUT "'20s'"

/* ---- what was done ------------------------------------------------------------------- */

static const char rows_sql[] =
    "SELECT number, name, encode(hash, 'hex'), done_at IS NULL,"
    " to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"')"
    " FROM runnel.migration ORDER BY number";
enum { NUMBER, NAME, HASH, IS_HALF, BEGAN };

static void say_half(const struct pg_rows *rows, size_t row, struct buf *words)
{
    long long number = pg_get_int(rows, row, NUMBER);

    buf_addf(words,
             "migration %lld (%.*s) was begun at %.*s and not finished: complete by hand what it "
             "does, then UPDATE runnel.migration SET done_at = now() WHERE number = %lld; or undo "
             "it by hand, then DELETE FROM runnel.migration WHERE number = %lld",
             number, STR_ARG(pg_get(rows, row, NAME)), STR_ARG(pg_get(rows, row, BEGAN)), number,
             number);
}

static enum store_schema judge_row(const struct store_migrate *m, const struct pg_rows *rows,
                                   size_t row, struct buf *words)
{
    long long number = pg_get_int(rows, row, NUMBER), wanted = (long long)row + 1;
    char      hash[SHA256_HEX_SIZE];

    if (number > (long long)m->n) {
        buf_addf(words,
                 "the database has migration %lld (%.*s), this program knows %zu: a newer one has "
                 "been here; run that one, or bring back a backup of the time before it",
                 number, STR_ARG(pg_get(rows, row, NAME)), m->n);
        return SCHEMA_NEWER;
    }
    if (number != wanted) {
        buf_addf(words,
                 "migration %lld is missing in runnel.migration although %lld is there: somebody "
                 "took it out; bring back a backup, or the row if what it did is all there",
                 wanted, number);
        return SCHEMA_OTHER;
    }
    sha256_hex(m->all[row].sql, hash);
    if (!str_eq(pg_get(rows, row, HASH), str_of(hash))) {
        buf_addf(words,
                 "migration %lld (%.*s) was another when this database got it: this program is "
                 "not one that made it; run the one that did, or a newer release of it",
                 number, STR_ARG(pg_get(rows, row, NAME)));
        return SCHEMA_OTHER;
    }
    if (pg_get_bool(rows, row, IS_HALF)) {
        say_half(rows, row, words);
        return SCHEMA_HALF;
    }
    return SCHEMA_CURRENT;
}

static void say_missing(const struct store_migrate *m, size_t done, struct buf *words)
{
    buf_addf(words,
             done ? "the database is at migration %zu and this program wants %zu: run "
                    "\"runnel migrate\""
                  : "the database has no schema yet (%zu of %zu migrations): run \"runnel "
                    "migrate\"",
             done, m->n);
}

static enum store_schema judge(struct store_migrate *m, const struct pg_rows *rows,
                               struct buf *words)
{
    size_t done = pg_n_rows(rows);

    for (size_t row = 0; row < done; row++) {
        enum store_schema is = judge_row(m, rows, row, words);

        if (is != SCHEMA_CURRENT)
            return is;
    }
    m->before = done;
    if (done == m->n)
        return SCHEMA_CURRENT;
    say_missing(m, done, words);
    return done ? SCHEMA_OLDER : SCHEMA_NONE;
}

/* Whoever looks without making anything may meet a database without the table. */
static enum store_schema look(struct store_migrate *m, struct pg_now *db, struct buf *words)
{
    const struct pg_rows *rows = pg_now_ask(
        db, "SELECT 1 FROM pg_class WHERE oid = to_regclass('runnel.migration')", PG_NO_PARAMS);

    if (rows && pg_n_rows(rows))
        rows = pg_now_ask(db, rows_sql, PG_NO_PARAMS);
    if (rows)
        return judge(m, rows, words);
    buf_addf(words, "the database does not say what was done: %s", pg_now_why(db));
    return SCHEMA_UNKNOWN;
}

enum store_schema store_schema_is(struct pg_now *db, struct buf *words)
{
    struct store_migrate m = { .all = migrations, .n = n_migrations };

    return look(&m, db, words);
}

/* No such table, no such schema: there was no migration yet. */
static bool passes(const struct pg_rows *rows, const char *sqlstate, char why[PG_WHY_MAX])
{
    struct store_migrate m = { .all = migrations, .n = n_migrations };
    struct buf           words = BUF(4096);
    bool                 is_none = strcmp(sqlstate, "42P01") == 0 || strcmp(sqlstate, "3F000") == 0;
    bool                 good = false;

    if (rows)
        good = judge(&m, rows, &words) == SCHEMA_CURRENT;
    else if (is_none)
        say_missing(&m, 0, &words);
    if (words.n)
        snprintf(why, PG_WHY_MAX, "%.*s", STR_ARG(buf_str(&words)));
    buf_release(&words);
    return good;
}

const struct pg_check store_schema_check = { .sql = rows_sql, .passes = passes };

static bool is_before_us(enum store_schema is)
{
    return is == SCHEMA_CURRENT || is == SCHEMA_NONE || is == SCHEMA_OLDER;
}

bool store_migrate_look(struct store_migrate *m, struct pg_now *db)
{
    bool good = is_before_us(look(m, db, &m->why));

    if (good)
        buf_clear(&m->why);
    return good;
}

/* ---- one after the other ------------------------------------------------------------- */

static bool fail(struct store_migrate *m, const char *doing, const char *why)
{
    buf_addf(&m->why, "%s: %s", doing, why);
    return false;
}

static void tell_who(struct store_migrate *m, struct pg_now *db)
{
    const struct pg_rows *rows = pg_now_ask(
        db,
        "SELECT format('process %s of the database (%s as %s%s, connected since %s)', a.pid,"
        " coalesce(nullif(a.application_name, ''), 'nameless'), a.usename,"
        " ' from ' || host(a.client_addr),"
        " to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'))"
        " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
        " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (l.classid::bigint << 32 | l.objid::bigint) = " LOCK,
        PG_NO_PARAMS);
    struct str who = STR("somebody who has just gone");

    if (rows && pg_n_rows(rows))
        who = pg_get(rows, 0, 0);
    buf_clear(&m->why);
    buf_add(&m->why, who);                    /* what to say should it take too long */
    m->ops->waits(m->owner, buf_str(&m->why));
}

static void pause_a_moment(void)
{
    struct timespec t = { .tv_nsec = (long)(LOOK_AGAIN_MS * CLOCK_MS) };

    nanosleep(&t, NULL);
}

/* Asking again and again instead of waiting in the database: whoever waits there has a
 * snapshot, and CREATE INDEX CONCURRENTLY of the other waits for all snapshots to go. */
static bool take_lock(struct store_migrate *m, struct pg_now *db)
{
    uint64_t until = clock_exact() + m->max_wait;
    bool     has_told = false;

    for (;;) {
        const struct pg_rows *rows =
            pg_now_ask(db, "SELECT pg_try_advisory_lock(" LOCK ")", PG_NO_PARAMS);

        if (!rows)
            return fail(m, "the lock for migrations", pg_now_why(db));
        if (pg_get_bool(rows, 0, 0))
            break;
        if (!has_told)
            tell_who(m, db);
        has_told = true;
        if (clock_exact() >= until) {
            buf_lit(&m->why, " is migrating and does not end: wait for it, or end it, and try "
                             "again");
            return false;
        }
        pause_a_moment();
    }
    buf_clear(&m->why);
    return true;
}

static const char table_sql[] =
    "CREATE TABLE runnel.migration ("
    " number integer PRIMARY KEY CHECK (number > 0),"
    " name text NOT NULL,"
    " hash bytea NOT NULL CHECK (length(hash) = 32),"
    " began_at timestamptz NOT NULL,"
    " done_at timestamptz);"
    "COMMENT ON TABLE runnel.migration IS 'What has been done to this schema, by whom it is"
    " refused or brought further.';"
    "COMMENT ON COLUMN runnel.migration.number IS 'From 1, without a gap.';"
    "COMMENT ON COLUMN runnel.migration.name IS 'What its file says it does.';"
    "COMMENT ON COLUMN runnel.migration.hash IS 'SHA-256 of its file.';"
    "COMMENT ON COLUMN runnel.migration.began_at IS 'When it was begun.';"
    "COMMENT ON COLUMN runnel.migration.done_at IS 'When it was done; NULL: it is half done.';";

/* The schema may be there before us: who may use it need not be one who may make it. */
static bool make_table(struct pg_now *db)
{
    const struct pg_rows *rows = pg_now_ask(
        db, "SELECT to_regnamespace('runnel') IS NULL, to_regclass('runnel.migration') IS NULL",
        PG_NO_PARAMS);
    bool no_schema = rows && pg_get_bool(rows, 0, 0), no_table = rows && pg_get_bool(rows, 0, 1);

    if (!rows || (no_schema && !pg_now_do(db, "CREATE SCHEMA runnel;"
                                              "COMMENT ON SCHEMA runnel IS 'Conversations with"
                                              " language models: all that runnel keeps.'")))
        return false;
    return !no_table || pg_now_do(db, table_sql);
}

/* ---- one migration ------------------------------------------------------------------- */

static size_t line_of(struct str text, size_t character)
{
    size_t line = 1;

    for (size_t i = 0; i < text.n && character > 1; i++) {
        line += text.p[i] == '\n';
        character -= ((unsigned char)text.p[i] & 0xc0) != 0x80;
    }
    return line;
}

/* Of a migration in statements the failed one's beginning is known even if nothing more is. */
static bool fail_in(struct store_migrate *m, const struct migration *one, struct pg_now *db,
                    size_t offset)
{
    size_t told = pg_now_failed_at(db), at = told ? told : offset > 0;

    buf_addf(&m->why, "migration %d (%s)", one->number, one->name);
    if (at)
        buf_addf(&m->why, ", line %zu",
                 line_of((struct str){ one->sql.p, offset }, SIZE_MAX) - 1 +
                     line_of(str_from(one->sql, offset), at));
    buf_addf(&m->why, ": %s", pg_now_why(db));
    if (pg_now_failed_with(db, "55P03"))
        buf_lit(&m->why, " (somebody holds it for long: try again in a quiet hour)");
    return false;
}

static bool keep_row(const struct migration *one, struct pg_now *db, const char *sql)
{
    char number[12], hash[SHA256_HEX_SIZE];

    snprintf(number, sizeof number, "%d", one->number);
    sha256_hex(one->sql, hash);
    return pg_now_ask(db, sql, PG_PARAMS(number, one->name, hash)) != NULL;
}

static bool apply_whole(struct store_migrate *m, const struct migration *one, struct pg_now *db)
{
    if (!pg_now_do(db, "BEGIN; SET LOCAL lock_timeout = " LOCK_TIMEOUT) ||
        !pg_now_do(db, one->sql.p))
        return fail_in(m, one, db, 0);
    if (!pg_now_is_in_transaction(db)) {
        buf_addf(&m->why, "migration %d (%s) ends its own transaction; what it did is not undone",
                 one->number, one->name);
        return false;
    }
    if (keep_row(one, db,
                 "INSERT INTO runnel.migration VALUES"
                 " ($1, $2, decode($3, 'hex'), now(), clock_timestamp())") &&
        pg_now_do(db, "COMMIT"))
        return true;
    return fail_in(m, one, db, 0);
}

/* Some statements refuse to be in a transaction, and a text of several is one. */
static bool apply_statements(struct store_migrate *m, const struct migration *one,
                             struct pg_now *db)
{
    struct buf  statement = BUF(STATEMENT_MAX_BYTES);
    const char *p = one->sql.p, *end;
    bool        good = true;

    for (; good && *p; p = end) {
        end = strstr(p, ";\n");
        end = end ? end + 2 : p + strlen(p);
        buf_clear(&statement);
        buf_add(&statement, (struct str){ p, (size_t)(end - p) });
        buf_add_char(&statement, '\0');
        good = pg_now_do(db, statement.p) || fail_in(m, one, db, (size_t)(p - one->sql.p));
    }
    buf_release(&statement);
    return good;
}

static bool apply_openly(struct store_migrate *m, const struct migration *one, struct pg_now *db)
{
    if (!keep_row(one, db,
                  "INSERT INTO runnel.migration VALUES"
                  " ($1, $2, decode($3, 'hex'), clock_timestamp(), NULL)"))
        return fail_in(m, one, db, 0);
    if (!apply_statements(m, one, db)) {
        buf_lit(&m->why, "; it is half done: \"runnel migrate\" says what to do");
        return false;
    }
    return keep_row(one, db,
                    "UPDATE runnel.migration SET done_at = clock_timestamp()"
                    " WHERE number = $1 AND name = $2 AND hash = decode($3, 'hex')") ||
           fail_in(m, one, db, 0);
}

static bool apply(struct store_migrate *m, const struct migration *one, struct pg_now *db)
{
    uint64_t began = clock_exact();
    bool     openly = str_starts(one->sql, STR("-- not in a transaction\n"));

    if (!(openly ? apply_openly : apply_whole)(m, one, db))
        return false;
    m->ops->done(m->owner, one, clock_exact() - began);
    return true;
}

/* Under the lock. */
static bool bring_up(struct store_migrate *m, struct pg_now *db)
{
    if (!make_table(db))
        return fail(m, "the table of migrations", pg_now_why(db));
    if (!store_migrate_look(m, db))
        return false;
    for (size_t i = m->before; i < m->n; i++)
        if (!apply(m, &m->all[i], db))
            return false;
    return true;
}

bool store_migrate(struct store_migrate *m, struct pg_now *db)
{
    bool good;

    if (pg_now_is_pooled(db)) {
        buf_lit(&m->why, "there is a pooler before the database, where a lock does not hold: give "
                         "--database the address of the database itself");
        return false;
    }
    /* A database may be set to cut long statements off, which these may well be. */
    if (!pg_now_do(db, "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"))
        return fail(m, "the database", pg_now_why(db));
    if (!take_lock(m, db))
        return false;
    good = bring_up(m, db);
    pg_now_do(db, good ? UNLOCK : "ROLLBACK; " UNLOCK);     /* or the end of the session does it */
    return good;
}
