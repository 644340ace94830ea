#include "pg/pg_place.h"

#include "base/mem.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is set unless the string says otherwise. A server that is silent for ten seconds on
 * data it should acknowledge is gone; Kerberos would be asked for by every connection; a
 * standby would let us in and refuse whatever we do. */
static const struct {
    const char *name, *value;
} defaults[] = {
    { "application_name", "runnel" }, { "client_encoding", "UTF8" },
    { "keepalives_idle", "30" },      { "tcp_user_timeout", "10000" },
    { "gssencmode", "disable" },      { "target_session_attrs", "read-write" },
};

static char *text(struct str s)
{
    return mem_copy(s.p, s.n);
}

static void add_option(struct pg_where *w, const char *name, const char *value)
{
    if (w->n_options == PG_OPTIONS_MAX)
        return;
    w->names[w->n_options] = text(str_of(name));
    w->values[w->n_options++] = text(str_of(value));
}

/* The i-th of a list with commas; a list of one stands for all. */
static struct str nth(const char *list, size_t i)
{
    const char *comma = strchr(list, ',');

    if (!comma)
        return str_of(list);
    for (; i > 0 && comma; i--) {
        list = comma + 1;
        comma = strchr(list, ',');
    }
    return comma ? (struct str){ list, (size_t)(comma - list) } : str_of(list);
}

static size_t count(const char *list)
{
    size_t n = 1;

    for (; *list; list++)
        n += *list == ',';
    return n;
}

static bool read_places(struct pg_where *w, const char *hosts, const char *addresses,
                        const char *ports, char *why)
{
    size_t n = count(hosts), n_ports = count(ports);

    if (n > PG_PLACES_MAX || (n_ports != 1 && n_ports != n) ||
        (addresses && count(addresses) != n)) {
        snprintf(why, PG_WHY_MAX, "its hosts (%zu), addresses and ports do not match", n);
        return false;
    }
    for (; w->n < n; w->n++) {
        struct str host = nth(hosts, w->n), port = nth(ports, w->n);
        long       number = port.n ? strtol(port.p, NULL, 10) : 5432;

        if (number < 1 || number > 65535) {
            snprintf(why, PG_WHY_MAX, "%.*s is no port", STR_ARG(port));
            return false;
        }
        w->places[w->n].host = text(host.n ? host : STR("/var/run/postgresql"));
        w->places[w->n].address = addresses ? text(nth(addresses, w->n)) : NULL;
        w->places[w->n].port = (uint16_t)number;
    }
    return true;
}

static const char *given(const PQconninfoOption *options, const char *name)
{
    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (strcmp(o->keyword, name) == 0 && o->val && *o->val)
            return o->val;
    return NULL;
}

static const char *given_or(const PQconninfoOption *options, const char *name, const char *variable,
                            const char *otherwise)
{
    const char *value = given(options, name), *outside = getenv(variable);

    return value ? value : outside && *outside ? outside : otherwise;
}

static bool is_ours(const char *name)
{
    return strcmp(name, "host") == 0 || strcmp(name, "hostaddr") == 0 || strcmp(name, "port") == 0;
}

static bool take_options(struct pg_where *w, const PQconninfoOption *options, char *why)
{
    const char *addresses = given(options, "hostaddr");
    const char *hosts = given(options, "host");

    if (given(options, "service")) {
        snprintf(why, PG_WHY_MAX, "a service file is not read; write its parameters out");
        return false;
    }
    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (o->val && *o->val && !is_ours(o->keyword) && w->n_options < PG_OPTIONS_MAX)
            add_option(w, o->keyword, o->val);
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (!given(options, defaults[i].name))
            add_option(w, defaults[i].name, defaults[i].value);
    if (!hosts)
        hosts = addresses ? addresses : given_or(options, "host", "PGHOST", "");
    if (!read_places(w, hosts, addresses, given_or(options, "port", "PGPORT", "5432"), why))
        return false;
    return true;
}

bool pg_where_read(struct pg_where *w, struct str conninfo, char why[PG_WHY_MAX])
{
    char             *line = text(conninfo), *error = NULL;
    PQconninfoOption *options = PQconninfoParse(line, &error);
    bool              good = false;

    *w = (struct pg_where){ .n = 0 };
    if (options)
        good = take_options(w, options, why);
    else
        snprintf(why, PG_WHY_MAX, "it is no connection string");
    PQconninfoFree(options);
    PQfreemem(error);
    mem_free(line);
    return good;
}

void pg_where_default(struct pg_where *w, const char *name, const char *value)
{
    for (size_t i = 0; i < w->n_options; i++)
        if (strcmp(w->names[i], name) == 0)
            return;
    add_option(w, name, value);
}

void pg_where_release(struct pg_where *w)
{
    for (size_t i = 0; i < w->n; i++)
        mem_free(w->places[i].host), mem_free(w->places[i].address);
    for (size_t i = 0; i < w->n_options; i++) {
        mem_free(w->names[i]);
        mem_free(w->values[i]);
    }
    *w = (struct pg_where){ .n = 0 };
}

bool pg_place_is_socket(const struct pg_place *p)
{
    return p->host[0] == '/' || p->host[0] == '@';
}
