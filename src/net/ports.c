#include "net/ports.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 4096, FIRST_OF_MANAGER = 3 };

/* ---- sockets --------------------------------------------------------------------------- */

static socklen_t size_of(const union address *at)
{
    return at->any.sa_family == AF_INET6 ? sizeof at->v6 : sizeof at->v4;
}

static int turn_on(int fd, int option)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, option, &on, sizeof on);
}

/* The first one does not share its address while it is bound: where somebody else listens
 * there, even another service like this one, it has to fail. */
static int bind_to(int fd, const union address *at, bool is_first)
{
    turn_on(fd, SO_REUSEADDR);
    if (!is_first && turn_on(fd, SO_REUSEPORT) != 0)
        return -1;
    if (bind(fd, &at->any, size_of(at)) != 0)
        return -1;
    return listen(fd, BACKLOG);
}

static int open_one(const union address *at, bool is_first)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

    if (fd < 0)
        return -errno;
    if (bind_to(fd, at, is_first) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

static int where_is(int fd, union address *at)
{
    socklen_t size = sizeof *at;

    return getsockname(fd, &at->any, &size) == 0 ? 0 : -errno;
}

int port_open(const union address *at, union address *bound)
{
    int fd = open_one(at, true);

    if (fd >= 0)
        where_is(fd, bound);
    return fd;
}

/* ---- from others ------------------------------------------------------------------------ */

/* What is no listening socket was not given to us, whatever the environment says. */
static void take(struct ports *p, long fd)
{
    int       listens = 0;
    socklen_t size = sizeof listens;

    if (fd < 0 || fd > 1 << 20 ||
        getsockopt((int)fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens)
        die("the environment names %ld as a listening socket, and it is none", fd);
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    fcntl((int)fd, F_SETFL, O_NONBLOCK);
    if (p->n == PORTS_MAX)
        close((int)fd);
    else
        p->fds[p->n++] = (int)fd;
}

static void take_from_predecessor(struct ports *p)
{
    const char *text = getenv(PORTS_VARIABLE);
    bool        are_kept = str_starts(str_of(text), STR(PORTS_KEPT));
    char       *end;

    if (are_kept)
        text += strlen(PORTS_KEPT);
    for (; text && *text; text = *end == ',' ? end + 1 : end) {
        take(p, strtol(text, &end, 10));
        if (*end != ',' && *end != '\0')
            die(PORTS_VARIABLE " is no list of numbers");
    }
    p->are_handed_on = p->n > 0;
    p->are_kept = are_kept;
    unsetenv(PORTS_VARIABLE);
}

static void take_from_manager(struct ports *p)
{
    const char *for_whom = getenv("LISTEN_PID"), *many = getenv("LISTEN_FDS");

    if (for_whom && many && strtol(for_whom, NULL, 10) == getpid())
        for (long i = 0, n = strtol(many, NULL, 10); i < n; i++)
            take(p, FIRST_OF_MANAGER + i);
    p->are_kept = p->n > 0;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static bool is_same(const union address *a, const union address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET6)
        return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0 &&
               (a->v6.sin6_port == b->v6.sin6_port || !b->v6.sin6_port);
    return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr &&
           (a->v4.sin_port == b->v4.sin_port || !b->v4.sin_port);
}

static void must_be_one_address(const struct ports *p)
{
    union address other;

    for (size_t i = 0; i < p->n; i++)
        if (where_is(p->fds[i], &other) != 0 || !is_same(&p->at, &other))
            die("it was given sockets of several addresses, and serves one only");
}

/* A service manager's address holds, whatever the settings say, also when a predecessor hands
 * it on; a predecessor's own is left when the settings have changed. */
static void take_what_is_given(struct ports *p, const union address *at)
{
    take_from_predecessor(p);
    if (p->n == 0)
        take_from_manager(p);
    if (p->n == 0)
        return;
    where_is(p->fds[0], &p->at);
    must_be_one_address(p);
    if (!p->are_kept && !is_same(&p->at, at)) {
        ports_close_but(p, PORTS_MAX);
        p->n = 0;
    }
}

/* ---- all of them --------------------------------------------------------------------------- */

/* One more on the same address. Where the first is another user's, the kernel does not allow
 * it: then processes share a socket, and whoever is first takes a connection. */
static int open_another(struct ports *p)
{
    int fd = open_one(&p->at, false);

    if (fd == -EADDRINUSE)
        for (size_t i = 0; i < p->n && fd < 0; i++)
            if (p->fds[i] >= 0)
                fd = fcntl(p->fds[i], F_DUPFD_CLOEXEC, 0);
    return fd;
}

static void close_from(struct ports *p, size_t n)
{
    while (p->n > n)
        ports_close(p, --p->n);
}

int ports_open(struct ports *p, const union address *at, size_t n)
{
    take_what_is_given(p, at);
    close_from(p, n);
    if (p->n == 0) {
        int fd = port_open(at, &p->at);

        if (fd < 0)
            return fd;
        p->fds[p->n++] = fd;
    }
    if (n > 1)
        turn_on(p->fds[0], SO_REUSEPORT);
    while (p->n < n) {
        int fd = open_another(p);

        if (fd < 0)
            return fd;
        p->fds[p->n++] = fd;
    }
    return 0;
}

int ports_reopen(struct ports *p, size_t i)
{
    p->fds[i] = open_another(p);
    return p->fds[i] < 0 ? p->fds[i] : 0;
}

void ports_close(struct ports *p, size_t i)
{
    if (p->fds[i] >= 0)
        close(p->fds[i]);
    p->fds[i] = -1;
}

void ports_close_but(struct ports *p, size_t kept)
{
    for (size_t i = 0; i < p->n; i++)
        if (i != kept)
            ports_close(p, i);
}
