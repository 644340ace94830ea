#include "net/listener.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "net/loop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 4096, ACCEPTS_PER_PASS = 64, REST_MS = 200 };

static void on_ready(uv_poll_t *poll, int status, int events);

static void rest_is_over(struct deadline *d)
{
    struct listener *l = LIST_OWNER(d, struct listener, rest);

    uv_poll_start(&l->poll, UV_READABLE, on_ready);
}

static void take_a_rest(struct listener *l, int error)
{
    uv_poll_stop(&l->poll);
    deadline_arm(&l->rest, clock_now() + REST_MS * CLOCK_MS);
    if (l->complained && clock_now() - l->complained < CLOCK_S)
        return;
    l->complained = clock_now();
    LOG(LOG_ERROR, L_MSG("cannot accept connections"), L_TEXT("why", strerror(error)));
}

/* False: nobody waits any more, or nobody can be taken now. */
static bool take_one(struct listener *l)
{
    union address peer;
    socklen_t     size = sizeof peer;
    int           fd = accept4(l->fd, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        l->on(l, fd, &peer);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        take_a_rest(l, errno);
    return errno == EINTR || errno == ECONNABORTED;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_PASS && l->open; i++)
        if (!take_one(l))
            return;
}

int listener_open(struct listener *l, int fd,
                  void (*on)(struct listener *l, int fd, const union address *peer))
{
    int rc;

    *l = (struct listener){ .fd = fd, .on = on, .rest.run = rest_is_over };
    rc = uv_poll_init(loop_get(), &l->poll, l->fd);
    if (rc != 0) {
        close(l->fd);
        return rc;
    }
    l->open = true;
    l->poll.data = l;
    return uv_poll_start(&l->poll, UV_READABLE, on_ready);
}

void listener_close(struct listener *l)
{
    for (int i = 0; i < BACKLOG && l->open; i++)
        if (!take_one(l))
            break;
    if (!l->open)
        return;
    l->open = false;
    deadline_disarm(&l->rest);
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, NULL);
    close(l->fd);
}
