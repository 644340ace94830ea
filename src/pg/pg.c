#include "pg/pg.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"

#include <arpa/inet.h>
#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

enum { RESULTS_PER_PASS = 256 };

static PGconn *libpq(const struct pg *c)
{
    return (PGconn *)c->conn;
}

/* libpq may have another socket now. */
static void renew_watch(struct pg *c)
{
    pg_watch_end(c->watch);
    c->watch = pg_watch_new(PQsocket(libpq(c)), &c->news);
}

static void unwatch(struct pg *c)
{
    pg_watch_end(c->watch);
    c->watch = NULL;
}

/* ---- the end ------------------------------------------------------------------------- */

void pg_drop(struct pg *c)
{
    if (c->rung == PG_LOOKUP)
        resolve_cancel(&c->lookup);
    deadline_disarm(&c->patience);
    note_tear(&c->news);
    note_tear(&c->failed);
    unwatch(c);
    PQfinish(libpq(c));
    c->conn = NULL;
    c->rung = PG_REST;
}

/* The first line of what libpq says, which names hosts and users but no passwords. */
static void keep_why(struct pg *c, const char *why)
{
    snprintf(c->why, sizeof c->why, "%.*s", (int)strcspn(why, "\n"), why);
}

void pg_break(struct pg *c, const char *why)
{
    keep_why(c, why);
    c->is_unfit = false;
    pg_drop(c);
    c->ops->lost(c);
}

/* ---- look-up and connect ------------------------------------------------------------- */

static void climb_place(struct pg *c);
static void connect_next(struct pg *c);
static void next_place(struct pg *c);

static const struct pg_place *place(const struct pg *c)
{
    const struct pg_server *s = c->server;

    return &s->where.places[(s->good_place + c->places_tried) % s->where.n];
}

static void next_address(struct pg *c, const char *why)
{
    keep_why(c, why);
    note_tear(&c->news);                      /* it was of this connection      */
    unwatch(c);
    PQfinish(libpq(c));
    c->conn = NULL;
    c->address++;
    connect_next(c);
}

/* Another host's name may be found sooner. */
static void skip_place(struct pg *c)
{
    resolve_cancel(&c->lookup);
    keep_why(c, "looking up the name of the host took too long");
    c->rung = PG_CONNECT;
    next_place(c);
}

static void too_slow(struct deadline *d)
{
    struct pg *c = LIST_OWNER(d, struct pg, patience);

    if (c->rung == PG_LOOKUP)
        skip_place(c);
    else if (c->rung == PG_CONNECT)
        next_address(c, "the connection took too long");
    else
        pg_break(c, "preparing the statements took too long");
}

static bool address_text(const struct pg *c, char out[INET6_ADDRSTRLEN])
{
    const union address *a = &c->lookup.found.items[c->address];
    const void          *from = a->any.sa_family == AF_INET6 ? (const void *)&a->v6.sin6_addr
                                                             : (const void *)&a->v4.sin_addr;

    return inet_ntop(a->any.sa_family, from, out, INET6_ADDRSTRLEN) != NULL;
}

static void ignore_notice(void *c, const char *text)
{
    (void)c;
    LOG(LOG_DEBUG, L_MSG("database notice"), L_STR("words", str_of(text)));
}

static void begin(struct pg *c, const char *address)
{
    const struct pg_where *w = &c->server->where;
    const char            *names[PG_OPTIONS_MAX + 4], *values[PG_OPTIONS_MAX + 4];
    char                   port[8];
    size_t                 n = 0;

    snprintf(port, sizeof port, "%u", (unsigned)place(c)->port);
    for (; n < w->n_options; n++) {
        names[n] = w->names[n];
        values[n] = w->values[n];
    }
    names[n] = "host", values[n++] = place(c)->host;
    names[n] = "port", values[n++] = port;
    if (address)
        names[n] = "hostaddr", values[n++] = address;
    names[n] = NULL;
    c->conn = (struct pg_conn *)PQconnectStartParams(names, values, 0);
    if (!c->conn || PQstatus(libpq(c)) == CONNECTION_BAD) {
        next_address(c, c->conn ? PQerrorMessage(libpq(c)) : "out of memory");
        return;
    }
    PQsetNoticeProcessor(libpq(c), ignore_notice, NULL);
    renew_watch(c);
    pg_watch_for(c->watch, UV_WRITABLE);                /* as libpq wants it              */
    deadline_arm(&c->patience, clock_now() + c->server->connect_timeout);
}

/* A name may lead elsewhere by now. */
static void next_place(struct pg *c)
{
    if (!place(c)->address && !pg_place_is_socket(place(c)) && c->lookup.rc == 0)
        resolve_forget(str_of(place(c)->host));
    if (++c->places_tried < c->server->where.n)
        climb_place(c);
    else
        note_leave(&c->failed);
}

static void connect_next(struct pg *c)
{
    char address[INET6_ADDRSTRLEN];

    deadline_disarm(&c->patience);
    if (place(c)->address || pg_place_is_socket(place(c))) {
        if (c->address == 0)
            begin(c, place(c)->address);
        else
            next_place(c);
    } else if (c->address < c->lookup.found.n && address_text(c, address)) {
        begin(c, address);
    } else {
        next_place(c);
    }
}

static void on_names(struct lookup *l)
{
    struct pg *c = LIST_OWNER(l, struct pg, lookup);

    c->rung = PG_CONNECT;
    if (l->rc != 0)
        keep_why(c, uv_strerror(l->rc));
    connect_next(c);
}

static void climb_place(struct pg *c)
{
    const struct pg_place *p = place(c);

    c->address = 0;
    if (p->address || pg_place_is_socket(p)) {
        c->rung = PG_CONNECT;
        connect_next(c);
        return;
    }
    c->rung = PG_LOOKUP;
    deadline_arm(&c->patience, clock_now() + c->server->connect_timeout);
    resolve_start(&c->lookup, str_of(p->host), p->port, on_names);
}

static void all_failed(struct note *n)
{
    struct pg *c = LIST_OWNER(n, struct pg, failed);

    pg_drop(c);
    c->ops->lost(c);
}

void pg_climb(struct pg *c)
{
    assert(c->rung == PG_REST && c->works.n == 0);
    c->places_tried = 0;
    c->is_unfit = false;
    climb_place(c);
}

/* ---- sending --------------------------------------------------------------------------- */

static void flush(struct pg *c)
{
    int rc = PQflush(libpq(c));

    pg_watch_for(c->watch, rc == 1 ? UV_READABLE | UV_WRITABLE : UV_READABLE);
    if (rc < 0)
        note_leave(&c->news);                 /* which finds the connection broken */
}

static bool send_step(struct pg *c, const struct pg_work *w, size_t step, size_t first)
{
    const char *values[PG_PARAMS_MAX];
    int         n = (int)w->n_params[step];

    for (int i = 0; i < n; i++) {
        size_t at = w->params[first + (size_t)i];

        values[i] = at == SIZE_MAX ? NULL : w->bytes.p + at;
    }
    if (c->server->prepares)
        return PQsendQueryPrepared(libpq(c), w->steps[step]->name, n, values, NULL, NULL, 0);
    return PQsendQueryParams(libpq(c), w->steps[step]->sql, n, NULL, values, NULL, NULL, 0);
}

static void out_of_time(struct deadline *d)
{
    struct pg_work *w = LIST_OWNER(d, struct pg_work, patience);

    w->is_late = true;
    /* Whoever stands behind it would wait for it too. */
    pg_break(w->on, "a statement took too long");
}

void pg_send(struct pg *c, struct pg_work *w)
{
    bool   good = c->rung == PG_READY;
    size_t first = 0;

    w->on = c;
    w->at = 0;
    w->failed = w->is_late = false;
    w->tries++;
    list_push(&c->works, &w->link);
    w->patience.run = out_of_time;
    deadline_arm(&w->patience, clock_now() + w->max_time);
    for (size_t i = 0; good && i < w->n_steps; i++) {
        good = send_step(c, w, i, first);
        first += w->n_params[i];
    }
    if (good && PQpipelineSync(libpq(c)))
        flush(c);
    else
        note_leave(&c->news);
}

static void climb_prepare(struct pg *c)
{
    bool good = PQenterPipelineMode(libpq(c)) && PQsetnonblocking(libpq(c), 1) == 0;

    c->rung = PG_PREPARE;
    c->is_checked = !c->server->check;
    deadline_arm(&c->patience, clock_now() + c->server->connect_timeout);
    if (c->server->check)
        good = good &&
               PQsendQueryParams(libpq(c), c->server->check->sql, 0, NULL, NULL, NULL, NULL, 0);
    for (const struct pg_statement *s = c->server->statements; s && s->name; s++)
        good = good && (!c->server->prepares || PQsendPrepare(libpq(c), s->name, s->sql, 0, NULL));
    if (good && PQpipelineSync(libpq(c)))
        flush(c);
    else
        note_leave(&c->news);
}

/* ---- hearing --------------------------------------------------------------------------- */

/* Showing a password takes libpq some milliseconds: one connection in a pass. */
static bool is_ones_turn(void)
{
    static uint64_t pass;
    bool            is_first = pass != loop_pass();

    pass = loop_pass();
    return is_first;
}

static void on_poll(struct pg *c)
{
    PostgresPollingStatusType now = PQconnectPoll(libpq(c));

    renew_watch(c);
    switch (now) {
    case PGRES_POLLING_READING: pg_watch_for(c->watch, UV_READABLE); return;
    case PGRES_POLLING_WRITING: pg_watch_for(c->watch, UV_WRITABLE); return;
    case PGRES_POLLING_OK: climb_prepare(c); return;
    default: next_address(c, PQerrorMessage(libpq(c))); return;
    }
}

static void note_failure(struct pg_work *w, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);

    if (w->failed)
        return;                               /* the steps behind it were left out */
    w->failed = true;
    snprintf(w->sqlstate, sizeof w->sqlstate, "%s", state ? state : "");
    if (w->is_foreign)
        pg_work_keep_words(w, str_of(PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY)));
    LOG(LOG_DEBUG, L_MSG("statement refused"), L_TEXT("statement", w->steps[w->at]->name),
        L_TEXT("sqlstate", w->sqlstate));
}

static void work_over(struct pg *c)
{
    struct pg_work *w = LIST_OWNER(list_pop(&c->works), struct pg_work, link);

    deadline_disarm(&w->patience);
    w->on = NULL;
    c->ops->over(c, w);
}

static struct pg_rows rows_of(const PGresult *r)
{
    return (struct pg_rows){ r, 0, (size_t)PQntuples(r) };
}

static void take_result(struct pg *c, const PGresult *r)
{
    struct pg_rows  rows = rows_of(r);
    struct pg_work *w = LIST_OWNER(list_first(&c->works), struct pg_work, link);

    switch (PQresultStatus(r)) {
    case PGRES_PIPELINE_SYNC: work_over(c); return;
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        if (w->ops && w->ops->rows && !w->failed)
            w->ops->rows(w, w->at, &rows);
        break;
    default: note_failure(w, r); break;
    }
    if (w->at + 1 < w->n_steps)
        w->at++;
}

static void take_check(struct pg *c, const PGresult *r)
{
    bool           good = PQresultStatus(r) == PGRES_TUPLES_OK;
    const char    *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    struct pg_rows rows = rows_of(r);

    c->is_checked = true;
    keep_why(c, good ? "" : PQresultErrorMessage(r));
    c->is_unfit = !c->server->check->passes(good ? &rows : NULL, state ? state : "", c->why);
}

/* What goes wrong first is the reason; the rest may follow from it. */
static void take_prepared(struct pg *c, const PGresult *r)
{
    switch (PQresultStatus(r)) {
    case PGRES_COMMAND_OK: return;
    case PGRES_PIPELINE_ABORTED: return;
    case PGRES_PIPELINE_SYNC:
        if (c->is_unfit) {
            note_leave(&c->failed);
            return;
        }
        deadline_disarm(&c->patience);
        c->server->good_place = (c->server->good_place + c->places_tried) % c->server->where.n;
        c->rung = PG_READY;
        c->ops->ready(c);
        return;
    default:
        if (!c->is_unfit)
            keep_why(c, PQresultErrorMessage(r));
        c->is_unfit = true;
        return;
    }
}

static void hear_notifications(struct pg *c)
{
    PGnotify *n;

    while (c->rung == PG_READY && (n = PQnotifies(libpq(c)))) {
        if (c->ops->heard)
            c->ops->heard(c, str_of(n->relname), str_of(n->extra));
        PQfreemem(n);
    }
}

/* Nothing comes by itself when it waits for no result; then NULL would mean "no more". */
static bool expects_results(const struct pg *c)
{
    return c->rung == PG_PREPARE || c->works.n > 0;
}

static void on_results(struct pg *c)
{
    int n = 0;

    if (!PQconsumeInput(libpq(c))) {
        pg_break(c, PQerrorMessage(libpq(c)));
        return;
    }
    for (; n < RESULTS_PER_PASS && c->conn && expects_results(c) && !PQisBusy(libpq(c)); n++) {
        PGresult *r = PQgetResult(libpq(c));

        if (r && c->rung == PG_PREPARE && !c->is_checked)
            take_check(c, r);
        else if (r && c->rung == PG_PREPARE)
            take_prepared(c, r);
        else if (r)
            take_result(c, r);
        PQclear(r);
    }
    if (!c->conn)
        return;
    hear_notifications(c);
    if (PQstatus(libpq(c)) == CONNECTION_BAD)
        pg_break(c, PQerrorMessage(libpq(c)));
    else if (n == RESULTS_PER_PASS)
        note_leave(&c->news);
    else
        flush(c);
}

static void on_news(struct note *n)
{
    struct pg *c = LIST_OWNER(n, struct pg, news);

    if (c->rung == PG_CONNECT && is_ones_turn())
        on_poll(c);
    else if (c->rung == PG_CONNECT)
        note_leave(n);
    else if (c->rung > PG_CONNECT)
        on_results(c);
}

void pg_init(struct pg *c, struct pg_server *server, const struct pg_ops *ops)
{
    *c = (struct pg){ .ops = ops, .server = server };
    list_init(&c->works);
    c->news.run = on_news;
    c->failed.run = all_failed;
    c->patience.run = too_slow;
}
