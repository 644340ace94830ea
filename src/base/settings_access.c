/* settings_access.c - the rows for the database and for those who may ask. */
#include "base/secret_file.h"
#include "base/settings_rows.h"

#include <string.h>

enum { KEY_FILE_MAX = 64 * 1024 };

/* ---- what a text may be ------------------------------------------------------- */

static bool is_conninfo(struct str s)
{
    return s.n == 0 || str_starts(s, STR("postgresql://")) || str_starts(s, STR("postgres://")) ||
           memchr(s.p, '=', s.n);
}

/* ---- the rows -------------------------------------------------------------------- */

static const char *const no_yes[] = { "false", "true", NULL };
static const char *const algorithms[] = { "HS256", "RS256", "ES256", NULL };
static const char *const new_accounts[] = { "pending", "approved", NULL };

static const struct conf_field database_rows[] = {
    SECRET("url", database_settings, url, "", is_conninfo,
           "a connection string (postgresql://user:password@host/name)",
           "PostgreSQL 15 or newer. Better in the environment than in the file."),
    COUNT("connections", database_settings, connections, "4", 1, 100,
          "Connections that everybody shares."),
    COUNT("max_waiting", database_settings, max_waiting, "10000", 1, 1000000,
          "Units of work that may wait for one of them; beyond it: 503."),
    TIME("connect_timeout", database_settings, connect_timeout, "3s", 10, 600,
         "For each address of each host."),
    CHOICE("prepares", database_settings, prepares, "true", no_yes,
           "Whether statements are prepared; false behind a pooler that gives every transaction "
           "another session."),
    CHOICE("notifies", database_settings, notifies, "true", no_yes,
           "Whether instances tell each other of answers by LISTEN and NOTIFY; false behind such a "
           "pooler: then they look."),
    END
};
const struct conf_record settings_database_record = { .fields = database_rows };

static const struct conf_field access_rows[] = {
    CHOICE("jwt_algorithm", access_settings, jwt_algorithm, "HS256", algorithms,
           "How tokens are signed; no other way is believed."),
    SECRET("jwt_key", access_settings, jwt_key, "", NULL, NULL,
           "HS256: the shared secret, 32 bytes or more. RS256, ES256: the public key, as PEM."),
    TEXT("jwt_key_file", access_settings, jwt_key_file, "", NULL, NULL,
         "A file with that key, in place of access.jwt_key."),
    TEXT("jwt_issuer", access_settings, jwt_issuer, "", NULL, NULL,
         "The iss that tokens must have; empty: any."),
    TEXT("jwt_audience", access_settings, jwt_audience, "", NULL, NULL,
         "The aud that tokens must have; empty: any."),
    TEXT("jwt_tenant_claim", access_settings, jwt_tenant_claim, "tenant", settings_is_name,
         "a name without spaces", "The claim that names the tenant."),
    SECRETS("keys", access_settings, keys, settings_is_visible, "visible ASCII",
            "Keys that may ask without being in the database."),
    CHOICE("new_accounts", access_settings, new_accounts, "pending", new_accounts,
           "What an account is when its first token comes."),
    TIME("cache", access_settings, cache, "5s", 0, 3600,
         "How long a key, an account or a tenant's tools are believed to be as they were."),
    COUNT(
        "max_failures_per_minute", access_settings, max_failures, "60", 0, 1000000,
        "Unknown keys and tokens that an address may show before it is told 429 and not 401; what "
        "is known is let in all the same. 0: any number."),
    END
};
const struct conf_record settings_access_record = { .fields = access_rows };

/* ---- the key that is in a file ------------------------------------------------------ */

void settings_complete_access(const struct conf_load *load, struct settings *s)
{
    struct access_settings *a = &s->access;
    struct buf              key = BUF(KEY_FILE_MAX);
    const char             *why;

    if (a->jwt_key_file.n == 0)
        return;
    if (a->jwt_key.n) {
        conf_mistake(load, 0, "access.jwt_key_file", "access.jwt_key is given already");
        return;
    }
    why = secret_file_read(a->jwt_key_file.p, &key);
    if (why)
        conf_mistake(load, 0, "access.jwt_key_file", "the file cannot be read: %s", why);
    else
        a->jwt_key = arena_str(load->arena, buf_str(&key));
    buf_release(&key);
}
