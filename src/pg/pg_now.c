#include "pg/pg_now.h"

#include "base/clock.h"
#include "base/mem.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_now {
    PGconn        *conn;
    PGresult      *result; /* what the caller reads, or why it failed */
    struct pg_rows rows;
    char           why[PG_WHY_MAX];
};

/* ---- the connection ------------------------------------------------------------------ */

/* The message as one line: each of several hosts may add some. */
static void keep_line(char why[PG_WHY_MAX], const char *text)
{
    size_t n = (size_t)snprintf(why, PG_WHY_MAX, "%s", text);

    if (n >= PG_WHY_MAX)
        n = PG_WHY_MAX - 1;
    while (n && (why[n - 1] == '\n' || why[n - 1] == ' '))
        why[--n] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)why[i] < ' ')
            why[i] = ' ';
}

static void ignore_notice(void *db, const char *text)
{
    (void)db;
    (void)text;
}

/* What is said first is a default, which the string may overrule. */
static PGconn *connect_to(const char *conninfo, uint64_t timeout)
{
    char              seconds[24];
    const char *const names[] = {
        "application_name",     "client_encoding", "gssencmode", "connect_timeout",
        "target_session_attrs", "dbname",          NULL
    };
    const char *const values[] = { "runnel",     "UTF8",   "disable", seconds,
                                   "read-write", conninfo, NULL };

    snprintf(seconds, sizeof seconds, "%llu",
             (unsigned long long)((timeout + CLOCK_S - 1) / CLOCK_S));
    return PQconnectdbParams(names, values, 1);
}

struct pg_now *pg_now_open(struct str conninfo, uint64_t connect_timeout, char why[PG_WHY_MAX])
{
    struct pg_where where;
    struct pg_now  *db;
    char           *text;
    /* libpq's own words about a bad string may repeat its password. */
    bool good = pg_where_read(&where, conninfo, why);

    pg_where_release(&where);
    if (!good)
        return NULL;
    db = mem_new(sizeof *db);
    text = mem_copy(conninfo.p, conninfo.n);
    db->conn = connect_to(text, connect_timeout);
    mem_free(text);
    if (PQstatus(db->conn) == CONNECTION_OK) {
        PQsetNoticeProcessor(db->conn, ignore_notice, NULL);
        return db;
    }
    keep_line(why, PQerrorMessage(db->conn));
    pg_now_close(db);
    return NULL;
}

void pg_now_close(struct pg_now *db)
{
    if (!db)
        return;
    PQclear(db->result);
    PQfinish(db->conn);
    mem_free(db);
}

/* ---- questions ----------------------------------------------------------------------- */

static bool keep(struct pg_now *db, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    const char    *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    PQclear(db->result);
    db->result = result;
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY)
        return true;
    keep_line(db->why, message ? message : PQerrorMessage(db->conn));
    return false;
}

const struct pg_rows *pg_now_ask(struct pg_now *db, const char *sql, const char *const *params,
                                 size_t n)
{
    PGresult *result = PQexecParams(db->conn, sql, (int)n, NULL, params, NULL, NULL, 0);

    if (!keep(db, result))
        return NULL;
    db->rows = (struct pg_rows){ result, 0, (size_t)PQntuples(result) };
    return &db->rows;
}

bool pg_now_do(struct pg_now *db, const char *sql)
{
    return keep(db, PQexec(db->conn, sql));
}

const char *pg_now_why(const struct pg_now *db)
{
    return db->why;
}

bool pg_now_failed_with(const struct pg_now *db, const char *sqlstate)
{
    const char *state = PQresultErrorField(db->result, PG_DIAG_SQLSTATE);

    return state && strcmp(state, sqlstate) == 0;
}

size_t pg_now_failed_at(const struct pg_now *db)
{
    const char *place = PQresultErrorField(db->result, PG_DIAG_STATEMENT_POSITION);

    return place ? strtoul(place, NULL, 10) : 0;
}

bool pg_now_is_in_transaction(const struct pg_now *db)
{
    return PQtransactionStatus(db->conn) == PQTRANS_INTRANS;
}

/* A pooler cannot know which session will serve us, so the number it greets us with is one
 * that it has made up. */
bool pg_now_is_pooled(struct pg_now *db)
{
    const struct pg_rows *rows = pg_now_ask(db, "SELECT pg_backend_pid()", PG_NO_PARAMS);

    return rows && pg_get_int(rows, 0, 0) != PQbackendPID(db->conn);
}
