/* command_token.c - a token for trying things out, signed with the settings' own secret. */
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "command/command_parts.h"
#include "wire/jwt.h"

#include <string.h>

enum { SUBJECT_MAX = 200, ID_LETTERS = 16, DEFAULT_S = 3600 };

static struct jwt_key *key_of(const struct access_settings *a)
{
    const char     *why;
    struct jwt_key *key;

    if (a->jwt_algorithm != ACCESS_HS256)
        die("access.jwt_algorithm is %.*s: only who has the private key makes such tokens",
            STR_ARG(jwt_alg_name((enum jwt_alg)a->jwt_algorithm)));
    if (a->jwt_key.n == 0)
        die("there is no access.jwt_key in the settings to sign with");
    key = jwt_key_of_settings(a, &why);
    if (!key)
        die("access.jwt_key: %s", why);
    return key;
}

static void show(const struct command_call *c, const struct jwt_claims *claims, struct buf *token)
{
    struct buf out = BUF(4 * JWT_MAX_BYTES);

    if (token->over)
        die("the token would be longer than what is believed");
    if (c->as_json) {
        buf_lit(&out, "{\"token\":");
        json_add_str(&out, buf_str(token));
        buf_lit(&out, ",\"subject\":");
        json_add_str(&out, claims->subject);
        buf_lit(&out, ",\"tenant\":");
        if (claims->tenant.n)
            json_add_str(&out, claims->tenant);
        else
            buf_lit(&out, "null");
        buf_addf(&out, ",\"expires\":%lld}", (long long)claims->expires);
    } else {
        buf_add(&out, buf_str(token));
    }
    buf_lit(&out, "\n");
    command_print(&out);
    buf_release(&out);
}

static void run(struct command_call *c)
{
    const struct access_settings *a = &c->settings->access;
    const char                   *expires = command_value(c, "--expires");
    struct jwt_key               *key = key_of(a);
    struct buf                    token = BUF(JWT_MAX_BYTES);
    char                          id[ID_LETTERS + 1];
    struct jwt_claims             claims = { .issuer = a->jwt_issuer,
                                             .audience = a->jwt_audience,
                                             .subject = str_of(c->argument),
                                             .id = { id, ID_LETTERS },
                                             .tenant_claim = a->jwt_tenant_claim,
                                             .tenant = str_of(command_value(c, "--tenant")),
                                             .issued = clock_wall_ms() / 1000 };

    if (!utf8_is_valid(claims.subject) || !utf8_is_valid(claims.tenant))
        die("a subject and a tenant are text in UTF-8");
    if (claims.subject.n > SUBJECT_MAX)
        die("a subject has at most %d bytes", SUBJECT_MAX);
    id_fill(id, ID_LETTERS);
    claims.expires =
        claims.issued + (int64_t)(expires ? command_seconds("--expires", expires) : DEFAULT_S);
    jwt_sign(key, &claims, &token);
    show(c, &claims, &token);
    buf_release(&token);
    jwt_key_free(key);
}

static const struct command_option options[] = {
    { "--tenant", "NAME", "the tenant it names; otherwise none" },
    { "--expires", "TIME", "how long it is good: 15m, 12h; otherwise 1h" },
    { NULL, NULL, NULL },
};

const struct command command_token = {
    .words = "token",
    .takes = "SUBJECT",
    .about = "makes a token for trying things out (HS256)",
    .options = options,
    .run = run,
};
