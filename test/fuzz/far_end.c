#include "far_end.h"

#include "base/note.h"
#include "net/dial.h"
#include "net/loop.h"

#include "script.h"

#include <sys/socket.h>
#include <unistd.h>

enum { PASSES_MAX = 1000 };

static int    ours = -1, theirs = -1;
static size_t dials;

static void tell(struct note *n)
{
    struct dial *d = LIST_OWNER(n, struct dial, lookup.note);
    int          fd = theirs;

    theirs = -1;
    d->running = false;
    d->done(d, fd, 0);
}

void dial_start(struct dial *d, struct str host, uint16_t port, uint64_t timeout_ns,
                void (*done)(struct dial *d, int fd, int rc))
{
    int fds[2];

    (void)host;
    (void)port;
    (void)timeout_ns;
    far_end_leave();
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    ours = fds[0];
    theirs = fds[1];
    dials++;
    *d = (struct dial){ .done = done, .running = true };
    d->lookup.note.run = tell;
    note_leave(&d->lookup.note);
}

void dial_start_public(struct dial *d, struct str host, uint16_t port, uint64_t timeout_ns,
                       void (*done)(struct dial *d, int fd, int rc))
{
    dial_start(d, host, port, timeout_ns, done);
}

void dial_cancel(struct dial *d)
{
    if (d->running)
        note_tear(&d->lookup.note);
    d->running = false;
}

size_t far_end_dials(void)
{
    return dials;
}

/* One pass tells notes and reads sockets, the next sees what that led to. */
void far_end_settle(void)
{
    int passes = 0;

    do
        uv_run(loop_get(), UV_RUN_NOWAIT);
    while (passes++ < 2 || (notes_waiting() && passes < PASSES_MAX));
    MUST_SAY(passes < PASSES_MAX, "the loop never rests");
}

void far_end_say(struct str bytes)
{
    if (ours >= 0 && bytes.n)
        send(ours, bytes.p, bytes.n, MSG_NOSIGNAL);
    far_end_settle();
}

void far_end_hear(struct buf *out)
{
    char    bytes[4096];
    ssize_t n;

    while (ours >= 0 && (n = recv(ours, bytes, sizeof bytes, 0)) > 0)
        if (out)
            buf_add(out, (struct str){ bytes, (size_t)n });
}

void far_end_hang_up(void)
{
    if (ours >= 0)
        shutdown(ours, SHUT_WR);
    far_end_settle();
}

void far_end_leave(void)
{
    if (ours >= 0)
        close(ours);
    if (theirs >= 0)
        close(theirs);
    ours = theirs = -1;
}
