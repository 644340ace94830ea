#include "process/upgrade.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_VARIABLE "RUNNEL_READY_FD"

enum { PATIENCE_S = 60, VARIABLES = 2 };

extern char **environ;

static struct {
    char   **argv;
    char     path[PATH_MAX];
    pid_t    pid;                             /* of the new one; 0: there is none */
    pid_t    late;                            /* it did not serve in time, and has not ended */
    int      ready;                           /* what it tells                  */
    int      teller;                          /* where this one tells it; 0: nobody waits */
    uint64_t until;
} upgrade;

/* It is not for those whom this program starts. */
static void take_teller(void)
{
    const char *text = getenv(READY_VARIABLE);
    int         fd = text ? (int)strtol(text, NULL, 10) : 0;

    unsetenv(READY_VARIABLE);
    if (fd > STDERR_FILENO && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
        upgrade.teller = fd;
}

static bool is_what_runs(const char *path)
{
    struct stat there, here;

    return stat(path, &there) == 0 && stat("/proc/self/exe", &here) == 0 &&
           there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

static bool find_in_path(const char *name)
{
    struct str folders = str_of(getenv("PATH")), folder;

    while (str_next(&folders, ':', &folder)) {
        snprintf(upgrade.path, sizeof upgrade.path, "%.*s/%s",
                 STR_ARG(folder.n ? folder : STR(".")), name);
        if (is_what_runs(upgrade.path))
            return true;
    }
    return false;
}

/* Where it was started from, which may be a link that leads to a newer one by now; also if
 * that was found by its name alone. */
void upgrade_remember(char **argv)
{
    ssize_t n = -1;

    take_teller();
    upgrade.argv = argv;
    if (strchr(argv[0], '/')) {
        snprintf(upgrade.path, sizeof upgrade.path, "%s", argv[0]);
        return;
    }
    if (find_in_path(argv[0]))
        return;
    n = readlink("/proc/self/exe", upgrade.path, sizeof upgrade.path - 1);
    upgrade.path[n > 0 ? n : 0] = '\0';
}

/* ---- the new one's environment, made before the fork ------------------------------------ */

static bool is_named(const char *variable, const char *name)
{
    size_t n = strlen(name);

    return strncmp(variable, name, n) == 0 && variable[n] == '=';
}

static char **environment(char *ports, char *ready)
{
    size_t n = 0, used = 0;
    char **all;

    while (environ[n])
        n++;
    all = mem_new((n + VARIABLES + 1) * sizeof *all);
    for (size_t i = 0; i < n; i++)
        if (!is_named(environ[i], PORTS_VARIABLE) && !is_named(environ[i], READY_VARIABLE))
            all[used++] = environ[i];
    all[used++] = ports;
    all[used] = ready;
    return all;
}

static void write_ports(struct buf *out, const struct ports *p)
{
    const char *between = p->are_kept ? PORTS_VARIABLE "=" PORTS_KEPT : PORTS_VARIABLE "=";

    for (size_t i = 0; i < p->n; i++) {
        if (p->fds[i] < 0)
            continue;
        buf_addf(out, "%s%d", between, p->fds[i]);
        between = ",";
    }
    buf_add_char(out, '\0');
}

/* ---- the old one ---------------------------------------------------------------------------- */

static _Noreturn void become_the_new_one(const struct ports *p, int ready, char **env)
{
    sigset_t none;

    for (size_t i = 0; i < p->n; i++)
        if (p->fds[i] >= 0)
            fcntl(p->fds[i], F_SETFD, 0);
    fcntl(ready, F_SETFD, 0);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(upgrade.path, upgrade.argv, env);
    _exit(127);
}

static void start(const struct ports *p, const int ends[2])
{
    struct buf ports = BUF(8 * PORTS_MAX);
    char       ready[sizeof READY_VARIABLE + 16];
    char     **env;

    write_ports(&ports, p);
    snprintf(ready, sizeof ready, READY_VARIABLE "=%d", ends[1]);
    env = environment(ports.p, ready);
    log_flush();
    upgrade.pid = fork();
    if (upgrade.pid == 0)
        become_the_new_one(p, ends[1], env);
    mem_free(env);
    buf_release(&ports);
}

/* One that was late has been told to end, and may not listen. */
static bool is_late_one_there(void)
{
    if (upgrade.late && waitpid(upgrade.late, NULL, WNOHANG) != 0)
        upgrade.late = 0;
    return upgrade.late != 0;
}

static const char *objection(void)
{
    if (upgrade.pid)
        return "one is under way";
    if (is_late_one_there()) {
        kill(upgrade.late, SIGKILL);
        return "the last one has not ended yet";
    }
    if (getpid() == 1)
        return "the first process of a container cannot be replaced: start another container";
    return NULL;
}

void upgrade_start(const struct ports *p)
{
    const char *why = objection();
    int         ends[2];

    if (!why && pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        why = strerror(errno);
    if (why) {
        LOG(LOG_WARN, L_MSG("no upgrade"), L_TEXT("why", why));
        return;
    }
    start(p, ends);
    close(ends[1]);
    if (upgrade.pid < 0) {
        LOG(LOG_ERROR, L_MSG("no upgrade"), L_TEXT("why", strerror(errno)));
        upgrade.pid = 0;
        close(ends[0]);
        return;
    }
    upgrade.ready = ends[0];
    upgrade.until = clock_now() + PATIENCE_S * CLOCK_S;
    LOG(LOG_INFO, L_MSG("upgrading"), L_TEXT("program", upgrade.path),
        L_INT("new_pid", upgrade.pid));
}

static enum upgrade end_as(enum upgrade how)
{
    close(upgrade.ready);
    upgrade.pid = 0;
    return how;
}

static enum upgrade fail(const char *why, int code)
{
    LOG(LOG_ERROR, L_MSG("upgrade failed, this program goes on"), L_TEXT("why", why),
        L_INT("code", code));
    return end_as(UPGRADE_FAILED);
}

static enum upgrade fail_by(int status)
{
    if (WIFSIGNALED(status))
        return fail("the new one was killed", WTERMSIG(status));
    if (WEXITSTATUS(status) == 127)
        return fail("the new one cannot be run", 127);
    return fail("the new one has ended", WEXITSTATUS(status));
}

enum upgrade upgrade_look(void)
{
    char said;
    int  status;

    if (!upgrade.pid)
        return is_late_one_there() ? UPGRADE_LINGERS : UPGRADE_NONE;
    if (read(upgrade.ready, &said, 1) == 1) {
        LOG(LOG_INFO, L_MSG("upgraded"), L_INT("new_pid", upgrade.pid));
        return end_as(UPGRADE_SERVES);
    }
    if (waitpid(upgrade.pid, &status, WNOHANG) == upgrade.pid)
        return fail_by(status);
    if (clock_now() < upgrade.until)
        return UPGRADE_STARTS;
    kill(upgrade.pid, SIGTERM);
    upgrade.late = upgrade.pid;
    fail("the new one did not serve in time", 0);
    return UPGRADE_LINGERS;
}

bool upgrade_is_under_way(void)
{
    return upgrade.pid != 0;
}

void upgrade_give_up(void)
{
    if (is_late_one_there())
        kill(upgrade.late, SIGKILL);
    if (!upgrade.pid)
        return;
    kill(upgrade.pid, SIGTERM);
    end_as(UPGRADE_FAILED);
}

/* ---- the new one ------------------------------------------------------------------------------- */

void upgrade_tell_ready(void)
{
    if (!upgrade.teller)
        return;
    if (write(upgrade.teller, "r", 1) != 1)
        LOG(LOG_WARN, L_MSG("nobody waits for this program any more"));
    close(upgrade.teller);
    upgrade.teller = 0;
}

void upgrade_leave(void)
{
    if (upgrade.teller)
        close(upgrade.teller);
    upgrade.teller = 0;
    if (upgrade.pid)
        end_as(UPGRADE_FAILED);
}
