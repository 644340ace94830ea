/* http_server.c - the port, who may connect to it, and its end. The life of a connection is in
 * http_conn.c.
 */
#include "net/http_server.h"

#include "base/metrics.h"
#include "net/http_conn.h"

#include <sys/resource.h>

enum {
    REFUSALS_AT_ONCE = 256,
    FILES_KEPT_BACK = 64,                     /* descriptors that are not clients' */
};

/* ---- connections come ------------------------------------------------------------------------ */

static void on_connection(struct listener *l, int fd, const union address *peer)
{
    struct http_server *s = LIST_OWNER(l, struct http_server, listener);
    size_t              open = s->connections.n;
    uint64_t            max = s->settings->max_connections;
    struct http_conn   *c;

    if (max > s->max_connections)
        max = s->max_connections;
    c = http_conn_new(s, fd, peer);
    if (open < max)
        return;
    metric_add(METRIC_REFUSED, 1);
    if (open >= max + REFUSALS_AT_ONCE) {     /* not even time for a word       */
        http_conn_close(c);
        return;
    }
    http_exchange_open(c);
    c->x.keep_alive = false;
    http_refuse(&c->x, 503, "the service has too many connections; try again shortly",
                STR("retry-after: 1\r\n"));
}

/* ---- the server ---------------------------------------------------------------------------------- */

/* Every descriptor the process may have, less a few for itself. */
static uint64_t affordable_connections(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return UINT64_MAX;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return files.rlim_cur > 2 * FILES_KEPT_BACK ? files.rlim_cur - FILES_KEPT_BACK
                                                : files.rlim_cur / 2;
}

int http_server_open(struct http_server *s, const struct http_app *app,
                     const struct http_settings *settings, uint64_t queue_bytes, int fd)
{
    s->app = app;
    s->settings = settings;
    s->queue_bytes = queue_bytes;
    s->max_connections = affordable_connections();
    list_init(&s->connections);
    return listener_open(&s->listener, fd, on_connection);
}

void http_server_configure(struct http_server *s, const struct http_settings *settings,
                           uint64_t queue_bytes)
{
    s->settings = settings;
    s->queue_bytes = queue_bytes;
}

void http_server_drain(struct http_server *s)
{
    s->draining = true;
    listener_close(&s->listener);
    LIST_EACH(&s->connections, k) {
        struct http_conn *c = LIST_OWNER(k, struct http_conn, link);

        if (c->x.phase == HTTP_ASKED)         /* a head that is out has promised more */
            c->x.keep_alive = false;
        if (c->state == CONN_IDLE)
            http_conn_enter(c, CONN_IDLE);
        else if (c->state == CONN_UPGRADED)
            c->x.upgrade->drain(c->x.user);
    }
}

void http_server_hurry(struct http_server *s)
{
    LIST_EACH(&s->connections, k) {
        struct http_conn *c = LIST_OWNER(k, struct http_conn, link);

        c->x.keep_alive = false;
        if (c->state == CONN_IDLE)
            http_conn_linger(c);
    }
}

void http_server_cut(struct http_server *s)
{
    LIST_EACH(&s->connections, k)
        http_conn_close(LIST_OWNER(k, struct http_conn, link));
}

bool http_server_is_empty(const struct http_server *s)
{
    return s->connections.n == 0;
}
