#include "net/http_now.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QUESTION_MAX = 4096, ANSWER_MAX = 16 * 1024, STATUS_AT = 9 };

static bool fail(struct http_now *a, const char *why)
{
    snprintf(a->why, sizeof a->why, "%s", why);
    return false;
}

/* ---- a socket, and waiting for it ----------------------------------------------------- */

static bool wait_for(struct http_now *a, int fd, short what, uint64_t until)
{
    struct pollfd p = { .fd = fd, .events = what };

    for (;;) {
        uint64_t now = clock_exact();
        int      n = now < until ? poll(&p, 1, (int)((until - now) / CLOCK_MS) + 1) : 0;

        if (n > 0)
            return true;
        if (n == 0)
            return fail(a, "it took too long");
        if (errno != EINTR)
            return fail(a, strerror(errno));
    }
}

static bool connect_to(struct http_now *a, int fd, const union address *to, uint64_t until)
{
    socklen_t size = to->any.sa_family == AF_INET ? sizeof to->v4 : sizeof to->v6;
    int       error = 0;

    if (connect(fd, &to->any, size) == 0)
        return true;
    if (errno != EINPROGRESS)
        return fail(a, strerror(errno));
    if (!wait_for(a, fd, POLLOUT, until))
        return false;
    size = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 || fail(a, strerror(error));
}

/* ---- the question and the answer ------------------------------------------------------ */

static bool say(struct http_now *a, int fd, struct str bytes, uint64_t until)
{
    while (bytes.n) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);

        if (n > 0)
            bytes = str_from(bytes, (size_t)n);
        else if (errno != EAGAIN && errno != EINTR)
            return fail(a, strerror(errno));
        else if (!wait_for(a, fd, POLLOUT, until))
            return false;
    }
    return true;
}

/* Until its end, or until there is more than anybody wants to know. */
static bool hear(struct http_now *a, int fd, struct buf *answer, uint64_t until)
{
    while (wait_for(a, fd, POLLIN, until)) {
        char    bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);

        if (n == 0)
            return true;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail(a, strerror(errno));
        if (n > 0)
            buf_add(answer, (struct str){ bytes, (size_t)n });
        if (answer->over)
            return true;
    }
    return false;
}

static bool understand(struct http_now *a, struct str answer)
{
    const char *end = answer.n ? memmem(answer.p, answer.n, "\r\n\r\n", 4) : NULL;
    struct str  status = { str_from(answer, STATUS_AT).p, 3 }, body;
    uint64_t    number;

    if (!str_starts(answer, STR("HTTP/1.")) || !end || end < status.p + status.n ||
        !str_to_u64(status, &number))
        return fail(a, "what answers does not speak HTTP");
    a->status = (int)number;
    body = str_from(answer, (size_t)(end - answer.p) + 4);
    if (body.n > HTTP_NOW_BODY_MAX)
        body.n = HTTP_NOW_BODY_MAX;
    buf_add(&a->body, body);
    return true;
}

static bool ask(struct http_now *a, int fd, const union address *to, struct str path,
                uint64_t until)
{
    struct buf question = BUF(QUESTION_MAX), answer = BUF(ANSWER_MAX);
    char       host[ADDRESS_TEXT_SIZE];
    bool       good;

    address_write_endpoint(to, host);
    buf_addf(&question, "GET %.*s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", STR_ARG(path),
             host);
    good = question.over ? fail(a, "the address is too long")
                         : say(a, fd, buf_str(&question), until) && hear(a, fd, &answer, until) &&
                               understand(a, buf_str(&answer));
    buf_release(&question);
    buf_release(&answer);
    return good;
}

bool http_now_get(struct http_now *a, const union address *to, struct str path, uint64_t timeout)
{
    uint64_t until = clock_exact() + timeout;
    int      fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool     good;

    *a = (struct http_now){ .body = BUF(HTTP_NOW_BODY_MAX) };
    if (fd < 0)
        return fail(a, strerror(errno));
    good = connect_to(a, fd, to, until) && ask(a, fd, to, path, until);
    close(fd);
    return good;
}

void http_now_release(struct http_now *a)
{
    buf_release(&a->body);
}
