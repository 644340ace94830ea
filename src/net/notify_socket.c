#include "net/notify_socket.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/str.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WORD_MAX = 256, STOP_MS = 5000 };

static struct {
    struct sockaddr_un to;
    socklen_t          to_size;
    int                fd;                    /* meaningful while to_size is    */
    uint64_t           watchdog;              /* ns; 0: nobody watches          */
    uint64_t           drain;                 /* ns                             */
    bool               is_stopping;           /* a reload makes it no readier   */
    struct deadline    alive;
} notify;

static void say(const char *word)
{
    if (notify.to_size)
        sendto(notify.fd, word, strlen(word), MSG_DONTWAIT | MSG_NOSIGNAL,
               (struct sockaddr *)&notify.to, notify.to_size);
}

/* ---- what the environment says -------------------------------------------------------- */

/* A path, or a name that begins with "@", which stands for the NUL of an abstract one. */
static bool read_address(struct str name)
{
    if (name.n < 2 || name.n >= sizeof notify.to.sun_path || (name.p[0] != '/' && name.p[0] != '@'))
        return false;
    notify.to.sun_family = AF_UNIX;
    memcpy(notify.to.sun_path, name.p, name.n);
    if (name.p[0] == '@')
        notify.to.sun_path[0] = '\0';
    notify.to_size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.n + (name.p[0] == '/'));
    return true;
}

static uint64_t number_of(const char *variable)
{
    uint64_t v;

    return str_to_u64(str_of(getenv(variable)), &v) ? v : 0;
}

/* Whoever follows on this program finds it named, as this one has found the one before. */
static void watch_is_ours(void)
{
    char text[16];

    snprintf(text, sizeof text, "%d", (int)getpid());
    setenv("WATCHDOG_PID", text, 1);
}

/* The watch may be over another process that handed its environment down to us. It is ours
 * as well where that one is the old program, which we replace. */
static void read_watchdog(void)
{
    uint64_t pid = number_of("WATCHDOG_PID"), us = number_of("WATCHDOG_USEC");

    if (pid != 0 && pid != (uint64_t)getpid() && pid != (uint64_t)getppid())
        return;
    if (us <= UINT64_MAX / 1000)
        notify.watchdog = us * 1000;
    if (pid)
        watch_is_ours();
}

void notify_socket_open(void)
{
    struct str name = str_of(getenv("NOTIFY_SOCKET"));

    if (name.n == 0)
        return;
    if (!read_address(name)) {
        LOG(LOG_WARN, L_MSG("NOTIFY_SOCKET is no socket's name"), L_STR("name", name));
        return;
    }
    notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (notify.fd < 0)
        notify.to_size = 0;
    else
        read_watchdog();
}

void notify_socket_close(void)
{
    deadline_disarm(&notify.alive);
    if (notify.to_size)
        close(notify.fd);
    memset(&notify, 0, sizeof notify);
}

uint64_t notify_watchdog(void)
{
    return notify.watchdog;
}

/* ---- what we say ---------------------------------------------------------------------- */

static void say_alive(struct deadline *d)
{
    say("WATCHDOG=1");
    deadline_arm(d, clock_now() + notify.watchdog / 2);
}

/* Where a new program took over, the supervisor waits for the end of this one from now on. */
void notify_ready(uint64_t drain_ns)
{
    char word[WORD_MAX];

    snprintf(word, sizeof word, "READY=1\nMAINPID=%d\nSTATUS=serving", (int)getpid());
    if (!notify.is_stopping)
        say(word);
    notify.drain = drain_ns;
    notify.alive.run = say_alive;
    if (notify.watchdog && !deadline_is_armed(&notify.alive))
        say_alive(&notify.alive);
}

void notify_reloading(void)
{
    char word[WORD_MAX];

    snprintf(word, sizeof word, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)(clock_exact() / 1000));
    if (!notify.is_stopping)
        say(word);
}

void notify_stopping(void)
{
    char word[WORD_MAX];

    snprintf(word, sizeof word, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu\nSTATUS=draining",
             (unsigned long long)(notify.drain / 1000 + STOP_MS * 1000));
    notify.is_stopping = true;
    say(word);
}
