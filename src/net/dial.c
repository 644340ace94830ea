#include "net/dial.h"

#include "base/clock.h"
#include "base/host.h"
#include "base/mem.h"
#include "net/loop.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_START_MS = 250 };

/* One address being tried. It outlives its dial by one close callback. */
struct attempt {
    struct link  link;
    uv_poll_t    poll;
    int          fd;
    struct dial *dial;
};

static void try_next(struct dial *d);

/* ---- the end -------------------------------------------------------------------------- */

static void free_attempt(uv_handle_t *handle)
{
    mem_free(handle->data);
}

/* Returns the socket, which libuv no longer watches. */
static int attempt_end(struct attempt *a)
{
    int fd = a->fd;

    list_take(&a->dial->attempts, &a->link);
    uv_poll_stop(&a->poll);
    uv_close((uv_handle_t *)&a->poll, free_attempt);
    return fd;
}

static void hang_up(struct dial *d)
{
    while (d->attempts.n)
        close(attempt_end(LIST_OWNER(list_first(&d->attempts), struct attempt, link)));
    deadline_disarm(&d->head_start);
    deadline_disarm(&d->patience);
    resolve_cancel(&d->lookup);
    d->running = false;
}

static void end(struct dial *d, int fd, int rc)
{
    hang_up(d);
    d->done(d, fd, rc);
}

static void give_up_if_hopeless(struct dial *d)
{
    if (d->attempts.n == 0 && d->next == d->addresses.n)
        end(d, -1, d->rc);
}

/* ---- one address ------------------------------------------------------------------------ */

static int socket_error(int fd)
{
    int       error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return -errno;
    return -error;
}

static void on_connected(uv_poll_t *poll, int status, int events)
{
    struct attempt *a = poll->data;
    struct dial    *d = a->dial;
    int             rc = socket_error(a->fd); /* libuv says EBADF for every failure */

    (void)events;
    if (rc == 0 && status < 0)
        rc = status;
    if (rc == 0) {
        end(d, attempt_end(a), 0);
        return;
    }
    close(attempt_end(a));
    d->rc = rc;
    try_next(d);
}

static int open_socket(const union address *to, int *fd)
{
    socklen_t size = to->any.sa_family == AF_INET6 ? sizeof to->v6 : sizeof to->v4;
    int       error;

    *fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return -errno;
    if (connect(*fd, &to->any, size) == 0 || errno == EINPROGRESS)
        return 0;
    error = -errno;
    close(*fd);
    return error;
}

static int attempt_start(struct dial *d, const union address *to)
{
    struct attempt *a;
    int             fd, rc = open_socket(to, &fd);

    if (rc != 0)
        return rc;
    a = mem_new(sizeof *a);
    a->fd = fd;
    a->dial = d;
    rc = uv_poll_init(loop_get(), &a->poll, fd);
    if (rc != 0) {
        close(fd);
        mem_free(a);
        return rc;
    }
    a->poll.data = a;
    list_push(&d->attempts, &a->link);
    return uv_poll_start(&a->poll, UV_WRITABLE, on_connected);
}

/* ---- in turn ------------------------------------------------------------------------------ */

static void try_next(struct dial *d)
{
    while (d->next < d->addresses.n) {
        int rc = attempt_start(d, &d->addresses.items[d->next++]);

        if (rc == 0) {
            deadline_arm(&d->head_start, clock_now() + HEAD_START_MS * CLOCK_MS);
            return;
        }
        d->rc = rc;
    }
    give_up_if_hopeless(d);
}

static void head_start_is_over(struct deadline *deadline)
{
    struct dial *d = LIST_OWNER(deadline, struct dial, head_start);

    if (d->next < d->addresses.n)
        try_next(d);
}

static void patience_is_over(struct deadline *deadline)
{
    end(LIST_OWNER(deadline, struct dial, patience), -1, UV_ETIMEDOUT);
}

static void keep_public(struct addresses *a)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++)
        if (host_is_public(&a->items[i]))
            a->items[n++] = a->items[i];
    a->n = n;
}

static void on_looked_up(struct lookup *l)
{
    struct dial *d = LIST_OWNER(l, struct dial, lookup);

    d->rc = l->rc;
    d->addresses = l->found;
    if (l->rc == 0)
        d->named_at = clock_exact();
    else
        d->addresses.n = 0;
    if (d->only_public && d->addresses.n) {
        d->rc = UV_EACCES;
        keep_public(&d->addresses);
    }
    try_next(d);
}

void dial_start(struct dial *d, struct str host, uint16_t port, uint64_t timeout_ns,
                void (*done)(struct dial *d, int fd, int rc))
{
    *d = (struct dial){ .done = done, .running = true };
    d->head_start.run = head_start_is_over;
    d->patience.run = patience_is_over;
    list_init(&d->attempts);
    deadline_arm(&d->patience, clock_now() + timeout_ns);
    resolve_start(&d->lookup, host, port, on_looked_up);
}

void dial_start_public(struct dial *d, struct str host, uint16_t port, uint64_t timeout_ns,
                       void (*done)(struct dial *d, int fd, int rc))
{
    dial_start(d, host, port, timeout_ns, done);
    d->only_public = true;                    /* the answer comes later         */
}

void dial_cancel(struct dial *d)
{
    if (d->running)
        hang_up(d);
}
