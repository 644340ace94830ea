/* main.c - wiring: settings, modules from the bottom up, the loop, and down again.
 *
 * Life of the process: start -> ready -> (reload)* -> draining -> stopped. Draining
 * takes no new work and lets running answers end; what is not over after drain_seconds,
 * or at a second signal, is told so truthfully and ended.
 */
#include "api/api.h"
#include "api/guard.h"
#include "api/wechat.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "command/command.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/ws_client.h"
#include "pg/pg_place.h"
#include "provider/catalog.h"
#include "store/store.h"
#include "tool/toolbox.h"
#include "turn/admit.h"
#include "turn/bill.h"
#include "turn/keeper.h"
#include "turn/turn.h"
#include "wire/jwt_key.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef RUNNEL_VERSION
#define RUNNEL_VERSION "unversioned"
#endif

enum { OVERRIDES_MAX = 64, DRAIN_LOOK_MS = 20, LAST_WORDS_MS = 1000 };

static struct {
    const char        *file;
    const char        *overrides[OVERRIDES_MAX + 1];
    size_t             n_overrides;
    struct http_server server;
    bool               serving, draining, ending;
    bool               migrates;              /* before it serves               */
    uint64_t           cut_at;                /* when the last connections are closed */
    struct deadline    drain;
    struct store      *store;                 /* NULL: no database              */
} service;

/* ---- settings ------------------------------------------------------------------- */

static void open_store(const struct database_settings *s, const struct lookup_settings *lookups)
{
    struct store_settings settings = { .pool = { .conninfo = s->url,
                                                 .connections = s->connections,
                                                 .max_waiting = s->max_waiting,
                                                 .prepares = s->prepares != 0,
                                                 .connect_timeout = s->connect_timeout },
                                       .notifies = s->notifies != 0,
                                       .lookups = lookups };
    char                  why[PG_WHY_MAX] = "";

    service.store = store_open(&settings, why);
    if (!service.store)
        die("database.url: %s", why);
}

static void use_settings(struct settings *s)
{
    const char *why = "";

    if (s->database.url.n && !service.store && !service.serving)
        open_store(&s->database, &s->xcx.lookups);
    else if (service.store)
        store_use_lookups(service.store, &s->xcx.lookups);
    if (!guard_configure(&s->access, service.store, &why))
        die("access.jwt_key: %s", why);       /* load() has tried it            */
    api_use_store(service.store);
    bill_use_store(service.store);
    keeper_use(service.store, &s->turns);
    log_setup((enum log_level)s->log_level, (enum log_format)s->log_format);
    admit_configure(&s->turns);
    api_configure(s);
    wechat_configure(s);
    if (s->xcx.dev_login)
        LOG(LOG_WARN, L_MSG("dialects.xcx.dev_login is on: anybody may log in as anybody"));
    if (service.serving)
        http_server_configure(&service.server, &s->http, s->stream.queue_bytes);
    toolbox_use(s, service.store);
    offer_use(catalog_new(s));                /* last: it frees the settings before */
}

static void find_database_mistake(const struct conf_load *load, struct str url)
{
    struct pg_where where;
    char            why[PG_WHY_MAX];

    if (url.n && !pg_where_read(&where, url, why))
        conf_mistake(load, 0, "database.url", "%s", why);
    if (url.n)
        pg_where_release(&where);
}

static void find_key_mistake(const struct conf_load *load, const struct access_settings *a)
{
    const char     *why;
    struct jwt_key *key;

    if (a->jwt_key.n == 0)
        return;
    key = jwt_key_of_settings(a, &why);
    if (!key)
        conf_mistake(load, 0, a->jwt_key_file.n ? "access.jwt_key_file" : "access.jwt_key", "%s",
                     why);
    jwt_key_free(key);
}

static void find_mistakes(const struct settings *s, struct buf *mistakes)
{
    struct conf_load load = { .file = service.file, .mistakes = mistakes };

    find_database_mistake(&load, s->database.url);
    find_key_mistake(&load, &s->access);
    catalog_find_mistakes(s, service.file, mistakes);
    wechat_find_mistakes(s, service.file, mistakes);
}

static struct settings *load(struct buf *mistakes)
{
    struct settings *s = settings_load(service.file, service.overrides, mistakes);

    if (s)
        find_mistakes(s, mistakes);
    if (mistakes->n == 0)
        return s;
    settings_free(s);
    return NULL;
}

static void tell_mistakes(const struct buf *mistakes)
{
    struct str rest = buf_str(mistakes), line;

    while (str_next(&rest, '\n', &line))
        if (line.n)
            LOG(LOG_ERROR, L_MSG("reload refused"), L_STR("why", line));
}

static void reload(int signal)
{
    struct buf       mistakes = BUF(64 * 1024);
    struct str       listen = api_settings()->listen, url = api_settings()->database.url;
    struct settings *s = load(&mistakes);

    (void)signal;
    metric_add_labelled(METRIC_RELOADS, s ? "done" : "refused", "");
    if (!s) {
        tell_mistakes(&mistakes);
    } else {
        if (!str_eq(s->listen, listen))
            LOG(LOG_WARN, L_MSG("a new listen address takes a restart"),
                L_STR("listen", s->listen));
        if (!str_eq(s->database.url, url))
            LOG(LOG_WARN, L_MSG("another database takes a restart"));
        use_settings(s);
        LOG(LOG_INFO, L_MSG("reloaded"), L_INT("models", s->models.n),
            L_INT("providers", s->providers.n));
    }
    buf_release(&mistakes);
}

/* ---- the end -------------------------------------------------------------------------- */

/* Running answers get their last word; a moment later the rest is cut. That is also what
 * becomes of readers of an answer that is made elsewhere: they come back to another instance. */
static void end_now(void)
{
    service.ending = true;
    service.cut_at = clock_now() + LAST_WORDS_MS * CLOCK_MS;
    if (turns_alive())
        LOG(LOG_WARN, L_MSG("ending running turns"), L_INT("turns", turns_alive()));
    http_server_hurry(&service.server);
    turns_interrupt_all(FAULT_SHUTDOWN);
}

/* Answers have ended before what they used is counted. */
static bool is_all_kept(void)
{
    return !service.store || store_is_idle(service.store);
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
    deadline_arm(d, now + DRAIN_LOOK_MS * CLOCK_MS);
}

static void stop(int signal)
{
    (void)signal;
    if (service.draining) {
        end_now();
        return;
    }
    service.draining = true;
    service.cut_at = clock_now() + api_settings()->drain_seconds;
    LOG(LOG_INFO, L_MSG("draining"), L_INT("turns", turns_alive()),
        L_INT("connections", service.server.connections.n));
    api_set_ready(false);
    http_server_drain(&service.server);
    service.drain.run = look_after_drain;
    deadline_arm(&service.drain, clock_now());
}

static void stop_at_once(int signal)
{
    if (!service.draining)
        stop(signal);
    end_now();
}

/* ---- commands --------------------------------------------------------------------------- */

static void open_port(void)
{
    const struct settings *s = api_settings();
    union address          at, bound;
    char                   text[ADDRESS_TEXT_SIZE];
    int                    rc;

    address_read_endpoint(s->listen, &at);
    rc = http_server_open(&service.server, &api_app, &s->http, s->stream.queue_bytes, &at, &bound);
    if (rc != 0)
        die("cannot listen on %s: %s", s->listen.p, strerror(-rc));
    if (service.server.max_connections < s->http.max_connections)
        LOG(LOG_WARN, L_MSG("the descriptor limit lowers http.max_connections"),
            L_INT("max_connections", service.server.max_connections));
    address_write_endpoint(&bound, text);
    service.serving = true;
    api_set_ready(true);
    LOG(LOG_INFO, L_MSG("ready"), L_TEXT("address", text), L_INT("pid", getpid()),
        L_TEXT("version", RUNNEL_VERSION));
}

static struct settings *load_or_die(void)
{
    struct buf       mistakes = BUF(64 * 1024);
    struct settings *s = load(&mistakes);

    if (s)
        return s;
    fprintf(stderr, "%.*s", STR_ARG(buf_str(&mistakes)));
    die("the settings have mistakes; nothing was started");
}

static int serve(void)
{
    struct settings *s = load_or_die();

    log_setup((enum log_level)s->log_level, (enum log_format)s->log_format);
    if (service.migrates)
        command_migrate_first(s);
    loop_open();
    use_settings(s);
    loop_on_signal(SIGTERM, stop);
    loop_on_signal(SIGINT, stop_at_once);
    loop_on_signal(SIGHUP, reload);
    open_port();
    loop_run();
    LOG(LOG_INFO, L_MSG("stopped"));
    log_flush();
    guard_release();
    assistant_forget_tasks();
    wechat_release();
    http_clients_close();
    ws_clients_close();
    keeper_release();
    if (service.store)
        store_close(service.store);
    loop_close();
    resolve_forget_all();
    offer_withdraw();
    toolbox_release();
    tls_release();
    http_readers_release();
    streams_release();
    metrics_release();
    return 0;
}

static int check(void)
{
    struct buf       mistakes = BUF(64 * 1024);
    struct settings *s = load(&mistakes);

    if (s)
        printf("%s: ok\n", service.file ? service.file : "settings");
    else
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
         "In the file ${NAME} and ${NAME:-otherwise} read the environment.\n"
         "Signals: HUP reads the settings again, TERM drains and ends, INT ends now.\n\n"
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
    if (service.n_overrides == OVERRIDES_MAX)
        die("too many --set; use a file");
    service.overrides[service.n_overrides++] = text;
}

static void override_listen(const char *address)
{
    static char text[128];

    snprintf(text, sizeof text, "listen=%s", address);
    override(text);
}

int main(int argc, char **argv)
{
    const char *command = "serve";
    int         i = 1;

    mem_begin();
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
            service.file = argument(argc, argv, &i);
        else if (strcmp(argv[i], "--listen") == 0)
            override_listen(argument(argc, argv, &i));
        else if (strcmp(argv[i], "--set") == 0)
            override(argument(argc, argv, &i));
        else if (strcmp(command, "check") == 0 && argv[i][0] != '-' && !service.file)
            service.file = argv[i];
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
