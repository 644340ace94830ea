/* service.h - a web service of threads, one for each connection, and a network without a way
 * out: names are looked up here, and who connects to a public address gets to this machine.
 *
 * It answers by the path of a request, and keeps what it was asked and who was connected to.
 */
#ifndef UNIT_TOOL_SERVICE_H
#define UNIT_TOOL_SERVICE_H

#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

enum { SERVICE_ASKED_MAX = 32, SERVICE_REQUEST_MAX = 8192 };

static struct {
    pthread_mutex_t lock;
    uint16_t        ports[2];                 /* two origins                    */
    char            asked[SERVICE_ASKED_MAX][SERVICE_REQUEST_MAX];
    size_t          n_asked, n_connections, n_lookups;
    char            connected[1000];          /* a word for each address        */
    char            location[300];            /* of redirects                   */
    atomic_size_t   n_sent;                   /* bytes of a body that never ends */
    atomic_size_t   n_left;                   /* connections the client closed early */
} service = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- names and connections ----------------------------------------------------------- */

static const char *service_addresses(const char *name)
{
    bool is_first = service.n_lookups++ == 0;

    if (strcmp(name, "public.test") == 0)
        return "1.2.3.4";
    if (strcmp(name, "private.test") == 0)
        return "10.1.2.3 fd00::1 169.254.169.254";
    if (strcmp(name, "mixed.test") == 0)
        return "127.0.0.1 10.0.0.1 ::1 fe80::1 ::ffff:127.0.0.1 1.2.3.4";
    if (strcmp(name, "rebinds.test") == 0)
        return is_first ? "1.2.3.4" : "127.0.0.1";
    return "";
}

/* In place of the C library's. */
int getaddrinfo(const char *name, const char *port, const struct addrinfo *hints,
                struct addrinfo **found)
{
    char words[200], *rest = words, *word;
    int  rc = EAI_NONAME;

    (void)port;
    (void)hints;
    *found = NULL;
    pthread_mutex_lock(&service.lock);
    snprintf(words, sizeof words, "%s", service_addresses(name));
    pthread_mutex_unlock(&service.lock);
    while ((word = strsep(&rest, " ")) && *word) {
        struct addrinfo *a = calloc(1, sizeof *a + sizeof(union address));

        a->ai_addr = (void *)(a + 1);
        assert_true(address_read_host(str_of(word), (union address *)a->ai_addr));
        a->ai_family = a->ai_addr->sa_family;
        a->ai_addrlen =
            a->ai_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        a->ai_next = *found;
        *found = a;
        rc = 0;
    }
    return rc;
}

void freeaddrinfo(struct addrinfo *a)
{
    while (a) {
        struct addrinfo *next = a->ai_next;

        free(a);
        a = next;
    }
}

int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t size)
{
    union address a;
    char          text[ADDRESS_TEXT_SIZE];
    size_t        n = strlen(service.connected);

    memset(&a, 0, sizeof a);
    memcpy(&a, to.__sockaddr__, size < sizeof a ? size : sizeof a);
    address_write_host(&a, text);
    snprintf(service.connected + n, sizeof service.connected - n, "%s ", text);
    if (strcmp(text, "1.2.3.4") == 0)
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (strcmp(text, "127.0.0.1") != 0) {
        errno = ECONNREFUSED;
        return -1;
    }
    return (int)syscall(SYS_connect, fd, &a, size);
}

/* ---- a request ------------------------------------------------------------------------- */

static bool service_say(int fd, const char *text)
{
    size_t n = strlen(text);

    return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* False: the client has gone. */
static bool service_hear(int fd, char *request)
{
    size_t      n = 0, whole = 0;
    const char *end, *length;

    while (!whole || n < whole) {
        ssize_t got = recv(fd, request + n, SERVICE_REQUEST_MAX - 1 - n, 0);

        if (got <= 0)
            return false;
        n += (size_t)got;
        request[n] = '\0';
        end = strstr(request, "\r\n\r\n");
        length = strstr(request, "content-length: ");
        if (end)
            whole = (size_t)(end + 4 - request) +
                    (length ? strtoul(length + strlen("content-length: "), NULL, 10) : 0);
    }
    return true;
}

static void service_keep(const char *request)
{
    pthread_mutex_lock(&service.lock);
    if (service.n_asked < SERVICE_ASKED_MAX)
        snprintf(service.asked[service.n_asked++], SERVICE_REQUEST_MAX, "%s", request);
    pthread_mutex_unlock(&service.lock);
}

static void service_wait_for_the_end(int fd)
{
    char c;

    if (recv(fd, &c, 1, 0) <= 0)
        service.n_left++;
}

static void service_pour(int fd, const char *head)
{
    char    text[4096];
    ssize_t n = 1;

    memset(text, 'x', sizeof text);
    service_say(fd, head);
    while (n > 0) {
        n = send(fd, text, sizeof text, MSG_NOSIGNAL);
        service.n_sent += n > 0 ? (size_t)n : 0;
    }
    service.n_left++;
}

static bool service_echo(int fd, const char *request)
{
    char answer[SERVICE_REQUEST_MAX + 200];

    snprintf(answer, sizeof answer,
             "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %zu\r\n\r\n%s",
             strlen(request), request);
    return service_say(fd, answer);
}

static bool service_redirect(int fd, const char *status)
{
    char answer[1000];

    snprintf(answer, sizeof answer,
             "HTTP/1.1 %.3s Go\r\nlocation: %s\r\ncontent-length: 4\r\n\r\ngone", status,
             service.location);
    return service_say(fd, answer);
}

static bool service_refuse(int fd, const char *status)
{
    char answer[1000];

    snprintf(answer, sizeof answer,
             "HTTP/1.1 %.3s No\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n"
             "{\"why\":\"words\"}",
             status);
    return service_say(fd, answer);
}

/* What else it can say, word for word; the connection is closed behind it. */
static const struct service_text {
    const char *path, *answer;
} service_texts[] = {
    { "/empty", "HTTP/1.1 204 No Content\r\n\r\n" },
    { "/eof", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nuntil the end" },
    { "/half", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly half" },
    { "/shut", "" },
    { "/garbage", "SSH-2.0-OpenSSH_9.2p1\r\n" },
    { "/broken", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\na\xff\xfe"
                 "b" },
    { "/binary", "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n\x89PNG" },
    { "/gzip", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n\x1f\x8b" },
    { "/nowhere", "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n" },
    { "/fields",
      "HTTP/1.1 302 Found\r\nlocation: /echo\r\nlocation: /empty\r\ncontent-length: 0\r\n\r\n" },
};

static bool service_begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* False: the connection is closed. */
static bool service_answer(int fd, const char *request)
{
    const char *path = strchr(request, ' ') + 1;

    if (service_begins(path, "/echo"))
        return service_echo(fd, request);
    if (service_begins(path, "/go/"))
        return service_redirect(fd, path + 4);
    if (service_begins(path, "/status/"))
        return service_refuse(fd, path + 8);
    for (size_t i = 0; i < COUNT(service_texts); i++)
        if (service_begins(path, service_texts[i].path)) {
            service_say(fd, service_texts[i].answer);
            return false;
        }
    if (service_begins(path, "/sulks") &&
        service_say(
            fd, "HTTP/1.1 503 No\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nnot"))
        service_wait_for_the_end(fd);
    else if (service_begins(path, "/endless"))
        service_pour(fd, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n");
    else if (service_begins(path, "/huge"))
        service_pour(fd, "HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n");
    else if (service_begins(path, "/bad"))
        service_pour(fd, "HTTP/1.1 500 No\r\ncontent-type: text/plain\r\n\r\n");
    else if (service_begins(path, "/slow") &&
             service_say(fd, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nx"))
        service_wait_for_the_end(fd);
    else
        service_wait_for_the_end(fd);
    return false;
}

static void *service_serve(void *connection)
{
    int  fd = (int)(intptr_t)connection;
    char request[SERVICE_REQUEST_MAX];
    bool more = true;

    while (more && service_hear(fd, request)) {
        service_keep(request);
        more = service_answer(fd, request);
    }
    close(fd);
    return NULL;
}

static void *service_accept(void *listener)
{
    int       fd;
    pthread_t thread;

    while ((fd = accept((int)(intptr_t)listener, NULL, NULL)) >= 0) {
        pthread_mutex_lock(&service.lock);
        service.n_connections++;
        pthread_mutex_unlock(&service.lock);
        pthread_create(&thread, NULL, service_serve, (void *)(intptr_t)fd);
        pthread_detach(thread);
    }
    return NULL;
}

/* Both go with the process. */
static void service_begin(void)
{
    for (size_t i = 0; i < COUNT(service.ports); i++) {
        struct sockaddr_in at = { .sin_family = AF_INET };
        socklen_t          size = sizeof at;
        int                fd = socket(AF_INET, SOCK_STREAM, 0);
        pthread_t          thread;

        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(listen(fd, 100), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
        service.ports[i] = ntohs(at.sin_port);
        assert_int_equal(pthread_create(&thread, NULL, service_accept, (void *)(intptr_t)fd), 0);
        pthread_detach(thread);
    }
}

/* It sees that its client has closed the connection. */
static void service_is_left(void)
{
    while (!service.n_left)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void service_forget(void)
{
    pthread_mutex_lock(&service.lock);
    service.n_asked = service.n_connections = service.n_lookups = 0;
    service.connected[0] = '\0';
    service.n_sent = service.n_left = 0;
    pthread_mutex_unlock(&service.lock);
}

#endif
