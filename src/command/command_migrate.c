/* command_migrate.c - brings the database's schema up to date. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "command/command_parts.h"
#include "store/migrate.h"

#include <stdio.h>

enum { WAIT_S = 60, WHY_MAX = 4096 };

struct report {
    bool       as_json;
    struct buf done;                          /* JSON: the members of an array  */
};

static void on_waits(void *owner, struct str for_whom)
{
    (void)owner;
    fprintf(stderr, "runnel: waiting for %.*s, which is migrating\n", STR_ARG(for_whom));
}

static void add_migration(struct buf *out, const struct migration *m)
{
    buf_addf(out, "%s{\"number\":%d,\"name\":", out->n ? "," : "", m->number);
    json_add_str(out, str_of(m->name));
}

/* At once: the next one may take long. */
static void on_done(void *owner, const struct migration *m, uint64_t ns)
{
    struct report *r = owner;
    struct buf     line = BUF(WHY_MAX);

    if (r->as_json) {
        add_migration(&r->done, m);
        buf_addf(&r->done, ",\"milliseconds\":%llu}", (unsigned long long)(ns / CLOCK_MS));
        return;
    }
    buf_addf(&line, "%04d %s: done in %llu ms\n", m->number, m->name,
             (unsigned long long)(ns / CLOCK_MS));
    command_print(&line);
    buf_release(&line);
}

static const struct store_migration_ops ops = { .waits = on_waits, .done = on_done };

static void say_end(const struct store_migrate *m, const struct report *r, bool is_dry)
{
    struct buf out = BUF(1 << 20);

    if (r->as_json)
        buf_addf(&out, "{\"before\":%zu,\"after\":%zu,\"%s\":[%.*s]}\n", m->before,
                 is_dry ? m->before : m->n, is_dry ? "would_do" : "done",
                 STR_ARG(buf_str(&r->done)));
    else if (m->before == m->n)
        buf_addf(&out, "nothing to do: the schema is at %04zu\n", m->n);
    else if (!is_dry)
        buf_addf(&out, "the schema is at %04zu\n", m->n);
    command_print(&out);
    buf_release(&out);
}

static void say_would_do(const struct store_migrate *m, struct report *r)
{
    struct buf out = BUF(1 << 20);

    for (size_t i = m->before; i < m->n; i++) {
        add_migration(&r->done, &m->all[i]);
        buf_lit(&r->done, "}");
        buf_addf(&out, "%04d %s: would be done\n", m->all[i].number, m->all[i].name);
    }
    if (!r->as_json)
        command_print(&out);
    buf_release(&out);
}

static void run(struct command_call *c)
{
    struct report        r = { .as_json = c->as_json, .done = BUF(1 << 20) };
    struct store_migrate m = { .all = migrations,
                               .n = n_migrations,
                               .max_wait = WAIT_S * CLOCK_S,
                               .ops = &ops,
                               .owner = &r,
                               .why = BUF(WHY_MAX) };
    bool                 is_dry = command_value(c, "--dry-run") != NULL;
    struct pg_now       *db = command_connect(c);

    if (!(is_dry ? store_migrate_look(&m, db) : store_migrate(&m, db)))
        die("%.*s", STR_ARG(buf_str(&m.why)));
    if (is_dry)
        say_would_do(&m, &r);
    say_end(&m, &r, is_dry);
    buf_release(&r.done);
    buf_release(&m.why);
}

/* ---- before serving ------------------------------------------------------------------- */

static void log_waits(void *owner, struct str for_whom)
{
    (void)owner;
    LOG(LOG_WARN, L_MSG("waiting for another to migrate"), L_STR("who", for_whom));
    log_flush();
}

static void log_done(void *owner, const struct migration *m, uint64_t ns)
{
    (void)owner;
    LOG(LOG_INFO, L_MSG("migrated"), L_INT("number", m->number), L_TEXT("name", m->name),
        L_MS("took", ns));
    log_flush();
}

void command_migrate_first(const struct settings *s)
{
    static const struct store_migration_ops log_ops = { .waits = log_waits, .done = log_done };
    struct store_migrate                    m = { .all = migrations,
                                                  .n = n_migrations,
                                                  .max_wait = WAIT_S * CLOCK_S,
                                                  .ops = &log_ops,
                                                  .why = BUF(WHY_MAX) };
    struct pg_now                          *db = command_open(&s->database);

    if (!store_migrate(&m, db))
        die("%.*s", STR_ARG(buf_str(&m.why)));
    buf_release(&m.why);
    pg_now_close(db);
}

static const struct command_option options[] = {
    { "--dry-run", NULL, "says what would be done" },
    { NULL, NULL, NULL },
};

const struct command command_migrate = {
    .words = "migrate",
    .about = "brings the database's schema up to date",
    .options = options,
    .run = run,
};
