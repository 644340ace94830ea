/* main.c - wiring: settings, modules from the bottom up, the loop, and down again.
 *
 * Life of the process: start -> ready -> (reload)* -> draining -> stopped. Draining
 * takes no new work and lets running answers end; what is not over after drain_seconds,
 * or at a second signal, is told so truthfully and ended. That is also how a process ends
 * whose ports a new program serves (process/upgrade.h).
 *
 * With several workers this is the life of each of them, and the process that was started
 * only leads them (process/crew.h): it reads the settings, and has others check them.
 */
#include "api/api.h"
#include "api/guard.h"
#include "api/session_ask.h"
#include "api/wechat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "command/command.h"
#include "lead.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "net/notify_socket.h"
#include "net/ports.h"
#include "net/stream.h"
#include "net/ws_client.h"
#include "process/crew.h"
#include "process/pid_file.h"
#include "process/upgrade.h"
#include "provider/catalog.h"
#include "setup.h"
#include "store/store.h"
#include "tool/toolbox.h"
#include "turn/keeper.h"
#include "turn/turn.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef RUNNEL_VERSION
#define RUNNEL_VERSION "unversioned"
#endif

enum { LOOK_MS = 20, LAST_WORDS_MS = 1000, TAKE_OVER_MS = 5000 };

static struct {
    struct settings   *read;                  /* until they are used            */
    struct ports       ports;
    size_t             workers;
    struct http_server server;
    bool               serving, draining, ending;
    bool               migrates;              /* before it serves               */
    uint64_t           cut_at;                /* when the last connections are closed */
    struct deadline    drain, opening, upgrade;
    int                port;
    uint64_t           open_by;
} service;

/* ---- settings ------------------------------------------------------------------- */

static void reload(int signal)
{
    struct buf       mistakes = BUF(64 * 1024);
    struct settings *s;

    (void)signal;
    notify_reloading();
    s = setup_load(&mistakes);
    if (!crew_is_led())                       /* its leader counts for all      */
        metric_add_labelled(METRIC_RELOADS, s ? "done" : "refused", "");
    if (!s) {
        setup_tell_mistakes(&mistakes);
    } else {
        setup_warn_of_restart(api_settings(), s);
        setup_use(s, &service.server);
        LOG(LOG_INFO, L_MSG("reloaded"), L_INT("models", s->models.n),
            L_INT("providers", s->providers.n));
    }
    buf_release(&mistakes);
    notify_ready(api_settings()->drain_seconds);
}

/* ---- the end -------------------------------------------------------------------------- */

/* Also those whose question was still on its way. What cannot be kept by the time that nobody
 * can be told any more stays as the journal has it. */
static void end_turns(void)
{
    turns_interrupt_all(FAULT_SHUTDOWN);
    turns_hurry(service.cut_at);
}

/* Running answers get their last word; a moment later the rest is cut. That is also what
 * becomes of readers of an answer that is made elsewhere: they come back to another instance. */
static void end_now(void)
{
    service.ending = true;
    service.cut_at = clock_now() + LAST_WORDS_MS * CLOCK_MS;
    if (turns_alive())
        LOG(LOG_WARN, L_MSG("ending running turns"), L_INT("turns", turns_alive()));
    http_server_hurry(&service.server);
    end_turns();
}

/* Answers have ended before what they used is counted. */
static bool is_all_kept(void)
{
    return !setup_store() || store_is_idle(setup_store());
}

static void look_after_drain(struct deadline *d)
{
    uint64_t now = clock_now();

    if (http_server_is_empty(&service.server) && turns_alive() == 0 &&
        (is_all_kept() || now >= service.cut_at)) {
        loop_stop();
        return;
    }
    if (!service.ending && now >= service.cut_at)
        end_now();
    else if (service.ending && now >= service.cut_at)
        http_server_cut(&service.server);
    if (service.ending)
        end_turns();
    deadline_arm(d, now + LOOK_MS * CLOCK_MS);
}

static void drain(void)
{
    service.draining = true;
    if (!service.serving) {
        loop_stop();
        return;
    }
    service.cut_at = clock_now() + api_settings()->drain_seconds;
    LOG(LOG_INFO, L_MSG("draining"), L_INT("turns", turns_alive()),
        L_INT("connections", service.server.connections.n));
    metric_set(METRIC_WORKERS, 0);
    api_set_ready(false);
    upgrade_give_up();
    http_server_drain(&service.server);
    service.drain.run = look_after_drain;
    deadline_arm(&service.drain, clock_now());
}

static void end(void)
{
    if (!service.draining)
        drain();
    if (service.serving)
        end_now();
}

/* A worker may be told by others what its leader will tell it, or has told it already. */
static void follow(void)
{
    if (crew_order() == CREW_END)
        end();
    else if (crew_order() == CREW_DRAIN && !service.draining)
        drain();
    else if (crew_order() == CREW_SERVE)
        LOG(LOG_WARN, L_MSG("a worker ends when its leader says so: signal that"),
            L_INT("leader", getppid()));
}

static void on_term(int signal)
{
    (void)signal;
    notify_stopping();
    if (crew_is_led())
        follow();
    else if (service.draining)
        end();
    else
        drain();
}

static void on_int(int signal)
{
    (void)signal;
    notify_stopping();
    if (crew_is_led())
        follow();
    else
        end();
}

/* ---- the beginning ------------------------------------------------------------------------ */

/* Somebody can find and signal this process, and a predecessor may go. */
static void announce(const struct settings *s)
{
    char text[ADDRESS_TEXT_SIZE];

    pid_file_write(s->pid_file);
    address_write_endpoint(&service.ports.at, text);
    LOG(LOG_INFO, L_MSG("ready"), L_TEXT("address", text), L_INT("pid", getpid()),
        L_TEXT("version", RUNNEL_VERSION), L_INT("workers", service.workers));
    notify_ready(s->drain_seconds);
    upgrade_tell_ready();
}

static void open_port(int port)
{
    const struct settings *s = api_settings();
    int rc = http_server_open(&service.server, &api_app, &s->http, s->stream.queue_bytes, port);

    if (rc != 0)
        die("cannot listen on %s: %s", s->listen.p, strerror(-rc));
    if (service.server.max_connections < s->http.max_connections)
        LOG(LOG_WARN, L_MSG("the descriptor limit lowers http.max_connections"),
            L_INT("max_connections", service.server.max_connections));
    service.serving = true;
    api_set_ready(true);
    metric_set(METRIC_WORKERS, 1);
    if (!crew_is_led()) {
        announce(s);
        return;
    }
    crew_tell_ready();
    LOG(LOG_INFO, L_MSG("worker ready"), L_INT("worker_pid", getpid()));
}

/* Where others serve the port already, nobody is let in before the database can be asked; and
 * who cannot use the database at all does not take the port from one who can. */
static void look_whether_to_open(struct deadline *d)
{
    const struct store *s = setup_store();

    if (s && store_is_unfit(s) && service.ports.are_handed_on)
        die("the database: %s", store_why(s));
    if (!s || store_is_ready(s) || clock_now() >= service.open_by)
        open_port(service.port);
    else
        deadline_arm(d, clock_now() + LOOK_MS * CLOCK_MS);
}

static void look_after_upgrade(struct deadline *d)
{
    enum upgrade how = upgrade_look();

    if (how == UPGRADE_STARTS || how == UPGRADE_LINGERS)
        deadline_arm(d, clock_now() + LOOK_MS * CLOCK_MS);
    if (how == UPGRADE_SERVES)
        notify_socket_close();                /* the new one speaks from now on */
    if (how == UPGRADE_SERVES && !service.draining)
        drain();
}

static void on_usr2(int signal)
{
    (void)signal;
    if (crew_is_led() || !service.serving || service.draining)
        return;
    upgrade_start(&service.ports);
    service.upgrade.run = look_after_upgrade;
    deadline_arm(&service.upgrade, clock_now());
}

static void listen_to_signals(void)
{
    loop_on_signal(SIGTERM, on_term);
    loop_on_signal(SIGINT, on_int);
    loop_on_signal(SIGHUP, reload);
    loop_on_signal(SIGUSR2, on_usr2);
    if (crew_is_led())
        crew_take_signals();
}

static int work(int port, bool is_late)
{
    loop_open();
    setup_use(service.read, NULL);
    service.read = NULL;
    listen_to_signals();
    service.port = port;
    service.open_by = clock_now();
    if (is_late || service.ports.are_handed_on)
        service.open_by += TAKE_OVER_MS * CLOCK_MS;
    service.opening.run = look_whether_to_open;
    look_whether_to_open(&service.opening);
    loop_run();
    notify_socket_close();
    LOG(LOG_INFO, L_MSG("stopped"));
    log_flush();
    pid_file_remove();
    guard_release();
    assistant_forget_tasks();
    session_forget_titles();
    session_queue_forget();
    wechat_release();
    toolbox_release();
    http_clients_close();
    ws_clients_close();
    keeper_release();
    setup_release();
    loop_close();
    resolve_forget_all();
    offer_withdraw();
    tls_release();
    http_readers_release();
    streams_release();
    metrics_release();
    return 0;
}

static void announce_crew(void)
{
    announce(service.read);
}

static int serve(void)
{
    struct buf mistakes = BUF(64 * 1024);

    signal(SIGPIPE, SIG_IGN);                 /* who leads others has no loop to do it */
    service.read = setup_read(&mistakes);
    service.workers = service.read ? crew_size(service.read->workers) : 1;
    if (service.workers == 1)
        service.read = setup_judge(service.read, &mistakes);
    if (!service.read) {
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&mistakes)));
        die("the settings have mistakes; nothing was started");
    }
    log_setup((enum log_level)service.read->log_level, (enum log_format)service.read->log_format);
    notify_socket_open();
    if (service.workers > 1)
        return lead(&(struct led){ &service.read, &service.ports, service.workers, service.migrates,
                                   work, announce_crew });
    if (service.migrates)
        command_migrate_first(service.read);
    setup_open_ports(service.read, &service.ports, 1);
    return work(service.ports.fds[0], false);
}

/* ---- commands --------------------------------------------------------------------------- */

static int check(void)
{
    struct buf       mistakes = BUF(64 * 1024);
    struct settings *s = setup_load(&mistakes);

    if (s) {
        setup_write_notices(s, &mistakes);
        printf("%s: ok\n%.*s", setup_from(), STR_ARG(buf_str(&mistakes)));
    } else
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&mistakes)));
    buf_release(&mistakes);
    settings_free(s);
    tls_release();
    return s ? 0 : 1;
}

static void print(void (*write)(struct buf *out))
{
    struct buf out = BUF(1 << 20);

    write(&out);
    printf("%.*s", STR_ARG(buf_str(&out)));
    buf_release(&out);
}

static int help(void)
{
    puts("runnel - answers chat questions with language models, as streams\n\n"
         "usage: runnel [serve] [--config FILE] [--listen ADDRESS] [--set NAME=VALUE]...\n"
         "                      [--migrate]   brings the database's schema up to date first\n"
         "       runnel check [FILE]     says what is wrong with the settings, line by line\n"
         "       runnel settings         prints the settings as a table (Markdown)\n"
         "       runnel --help | --version\n\n"
         "for operators, each with a --help of its own:");
    print(command_write_help);
    puts("\n"
         "A setting comes from its default, then the file, then the environment\n"
         "(RUNNEL_HTTP_IDLE_TIMEOUT is http.idle_timeout), then --set.\n"
         "Times: 500ms, 10s, 5m. Sizes: 4096, 64KiB, 8MiB.\n"
         "In the file ${NAME} and ${NAME:-otherwise} read the environment, ${file:NAME} a file.\n"
         "Signals: HUP reads the settings again, TERM drains and ends, INT ends now, USR2\n"
         "starts the program anew, as it is on the disk now, on the same port, and drains.\n\n"
         "settings:");
    print(settings_write_help);
    return 0;
}

/* ---- the command line ---------------------------------------------------------------------- */

static const char *argument(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc)
        die("%s needs a value; see runnel --help", argv[*i]);
    return argv[++*i];
}

static void override(const char *text)
{
    if (!setup_override(text))
        die("too many --set; use a file");
}

static void override_listen(const char *address)
{
    static char text[128];

    snprintf(text, sizeof text, "listen=%s", address);
    override(text);
}

static void end_by_signal(int signal)
{
    _exit(128 + signal);
}

/* To a container's first process no signal does anything that it has not asked for. */
static void hear_signals_as_first(void)
{
    if (getpid() != 1)
        return;
    signal(SIGTERM, end_by_signal);
    signal(SIGINT, end_by_signal);
}

int main(int argc, char **argv)
{
    const char *command = "serve";
    int         i = 1;

    mem_begin();
    hear_signals_as_first();
    upgrade_remember(argv);
    if (i < argc && command_is(argv[i]))
        return command_run(argc - i, argv + i);
    if (i < argc && argv[i][0] != '-')
        command = argv[i++];
    for (; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return help();
        if (strcmp(argv[i], "--version") == 0)
            return puts("runnel " RUNNEL_VERSION) < 0;
        if (strcmp(argv[i], "--migrate") == 0 && strcmp(command, "serve") == 0)
            service.migrates = true;
        else if (strcmp(argv[i], "--config") == 0)
            setup_file(argument(argc, argv, &i));
        else if (strcmp(argv[i], "--listen") == 0)
            override_listen(argument(argc, argv, &i));
        else if (strcmp(argv[i], "--set") == 0)
            override(argument(argc, argv, &i));
        else if (strcmp(command, "check") == 0 && argv[i][0] != '-' && !setup_has_file())
            setup_file(argv[i]);
        else
            die("what is \"%s\"? See runnel --help", argv[i]);
    }
    if (strcmp(command, "serve") == 0)
        return serve();
    if (strcmp(command, "check") == 0)
        return check();
    if (strcmp(command, "settings") == 0)
        return print(settings_write_markdown), 0;
    die("there is no command \"%s\"; see runnel --help", command);
}
