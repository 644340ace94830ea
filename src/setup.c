#include "setup.h"

#include "api/api.h"
#include "api/guard.h"
#include "api/session_ask.h"
#include "api/wechat.h"
#include "base/log.h"
#include "net/http_server.h"
#include "pg/pg_place.h"
#include "process/crew.h"
#include "provider/catalog.h"
#include "store/store.h"
#include "tool/toolbox.h"
#include "turn/admit.h"
#include "turn/bill.h"
#include "turn/keeper.h"
#include "turn/turn.h"
#include "wire/jwt_key.h"

#include <string.h>

enum { OVERRIDES_MAX = 64 };

static struct {
    const char   *file;
    const char   *overrides[OVERRIDES_MAX + 1];
    size_t        n_overrides;
    struct store *store;                      /* NULL: no database              */
} setup;

/* ---- where they come from ------------------------------------------------------------- */

void setup_file(const char *path)
{
    setup.file = path;
}

bool setup_has_file(void)
{
    return setup.file != NULL;
}

const char *setup_from(void)
{
    return setup.file ? setup.file : "settings";
}

bool setup_override(const char *text)
{
    if (setup.n_overrides == OVERRIDES_MAX)
        return false;
    setup.overrides[setup.n_overrides++] = text;
    return true;
}

/* ---- what is wrong with them ---------------------------------------------------------- */

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
    struct conf_load load = { .file = setup.file, .mistakes = mistakes };

    find_database_mistake(&load, s->database.url);
    find_key_mistake(&load, &s->access);
    catalog_find_mistakes(s, setup.file, mistakes);
    wechat_find_mistakes(s, setup.file, mistakes);
    toolbox_find_mistakes(s, setup.file, mistakes);
}

struct settings *setup_read(struct buf *mistakes)
{
    return settings_load(setup.file, setup.overrides, mistakes);
}

struct settings *setup_judge(struct settings *s, struct buf *mistakes)
{
    if (s)
        find_mistakes(s, mistakes);
    if (mistakes->n == 0)
        return s;
    settings_free(s);
    return NULL;
}

struct settings *setup_load(struct buf *mistakes)
{
    return setup_judge(setup_read(mistakes), mistakes);
}

static bool has_stream_limits(const struct settings *s)
{
    const struct provider_settings *p = s->providers.items;
    const struct model_settings    *m = s->models.items;

    for (size_t i = 0; i < s->providers.n; i++)
        if (p[i].max_streams)
            return true;
    for (size_t i = 0; i < s->models.n; i++) {
        const struct target_settings *t = m[i].targets.items;

        for (size_t k = 0; k < m[i].targets.n; k++)
            if (t[k].max_streams)
                return true;
    }
    return false;
}

void setup_write_notices(const struct settings *s, struct buf *out)
{
    size_t n = crew_size(s->workers);

    if (n == 1)
        return;
    if (has_stream_limits(s))
        buf_addf(out,
                 "notice: workers: max_streams of a provider or target is of each process: "
                 "%zu times as many in all\n",
                 n);
    if (s->database.url.n)
        buf_addf(out, "notice: workers: database.connections is of each process: %zu in all\n",
                 n * (size_t)s->database.connections);
    else
        buf_lit(out, "notice: workers: without a database, what is put down at /api/v1/tasks is "
                     "known to the process that took it, and to no other\n");
}

void setup_tell_mistakes(const struct buf *mistakes)
{
    struct str rest = buf_str(mistakes), line;

    while (str_next(&rest, '\n', &line))
        if (line.n)
            LOG(LOG_ERROR, L_MSG("reload refused"), L_STR("why", line));
}

/* ---- who is told ---------------------------------------------------------------------- */

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

    setup.store = store_open(&settings, why);
    if (!setup.store)
        die("database.url: %s", why);
}

void setup_use(struct settings *s, struct http_server *open)
{
    const char *why = "";

    if (s->database.url.n && !setup.store && !open)
        open_store(&s->database, &s->xcx.lookups);
    else if (setup.store)
        store_use_lookups(setup.store, &s->xcx.lookups);
    if (!guard_configure(&s->access, setup.store, &why))
        die("access.jwt_key: %s", why);       /* load() has tried it            */
    api_use_store(setup.store);
    bill_use_store(setup.store);
    keeper_use(setup.store, &s->turns);
    log_setup((enum log_level)s->log_level, (enum log_format)s->log_format);
    admit_configure(&s->turns);
    api_configure(s);
    session_queue_begin();
    wechat_configure(s);
    if (s->xcx.dev_login)
        LOG(LOG_WARN, L_MSG("dialects.xcx.dev_login is on: anybody may log in as anybody"));
    if (open)
        http_server_configure(open, &s->http, s->stream.queue_bytes);
    toolbox_use(s, setup.store);
    offer_use(catalog_new(s));                /* last: it frees the settings before */
}

void setup_warn_of_restart(const struct settings *now, const struct settings *next)
{
    if (!str_eq(next->listen, now->listen))
        LOG(LOG_WARN, L_MSG("a new listen address takes a restart"), L_STR("listen", next->listen));
    if (!str_eq(next->workers, now->workers))
        LOG(LOG_WARN, L_MSG("another number of workers takes a restart"),
            L_STR("workers", next->workers));
    if (!str_eq(next->database.url, now->database.url))
        LOG(LOG_WARN, L_MSG("another database takes a restart"));
}

void setup_open_ports(const struct settings *s, struct ports *p, size_t n)
{
    union address at;
    int           rc;

    address_read_endpoint(s->listen, &at);
    rc = ports_open(p, &at, n);
    if (rc != 0)
        die("cannot listen on %s: %s", s->listen.p, strerror(-rc));
}

struct store *setup_store(void)
{
    return setup.store;
}

void setup_release(void)
{
    if (setup.store)
        store_close(setup.store);
    setup.store = NULL;
}
