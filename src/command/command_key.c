/* command_key.c - keys: secrets that let programs ask. A key is shown once, when it is made. */
#include "base/id.h"
#include "base/log.h"
#include "command/command_limits.h"
#include "store/operator.h"
#include "wire/sha256.h"

#include <stdio.h>
#include <string.h>

enum {
    RANDOM_LETTERS = 40,
    KEY_LETTERS = 3 + RANDOM_LETTERS,
    HINT_LETTERS = 7,
    MODELS_MAX = 64 * 1024
};

/* ---- create -------------------------------------------------------------------------- */

static const struct command_option create_options[] = {
    COMMAND_TENANT,
    { "--account", "SUBJECT", "the account it stands for" },
    { "--models", "A,B", "the models it may ask for; otherwise all" },
    { "--expires", "TIME", "when it ends: 12h, 30d, 4w; otherwise never" },
    COMMAND_LIMITS,
    { NULL, NULL, NULL },
};

/* "a, b," is "a,b". */
static const char *read_models(const char *text, struct buf *out)
{
    struct str rest = str_of(text), model;

    while (str_next(&rest, ',', &model)) {
        model = str_trim(model);
        if (model.n)
            buf_addf(out, out->n ? ",%.*s" : "%.*s", STR_ARG(model));
    }
    buf_add_char(out, '\0');
    if (out->over || out->n < 2)
        die("--models expects names with commas between them, not \"%.100s\"", text);
    return out->p;
}

static void say_which_is_missing(const struct command_call *c, const struct operator_key *key)
{
    if (!operator_has_tenant(c->db, key->tenant))
        die("there is no tenant \"%s\"", key->tenant);
    die("there is no account \"%s\" in the tenant \"%s\"", key->account, key->tenant);
}

static void show(const struct command_call *c, const struct pg_rows *rows, const char *secret)
{
    struct buf out = BUF(1 << 20);

    if (c->as_json) {
        buf_addf(&out, "{\"key\":\"%s\",", secret);
        command_print_members(&out, rows, 0);
        buf_lit(&out, "}\n");
    } else {
        buf_addf(&out, "%s\n", secret);
    }
    command_print(&out);
    if (!c->as_json)
        fprintf(stderr, "runnel: this is key %lld; keep it, it is shown this once\n",
                (long long)pg_get_int(rows, 0, 0));
    buf_release(&out);
}

static void make(struct command_call *c, struct operator_key *key)
{
    char                  secret[KEY_LETTERS + 1] = "rk-", hint[HINT_LETTERS + 1] = "";
    char                  hash[SHA256_HEX_SIZE];
    const struct pg_rows *rows;

    id_fill(secret + 3, RANDOM_LETTERS);
    memcpy(hint, secret, HINT_LETTERS);
    sha256_hex(str_of(secret), hash);
    key->hash = hash;
    key->hint = hint;
    rows = operator_make_key(command_database(c), key);
    if (!rows)
        die("the database refuses: %s", pg_now_why(c->db));
    if (pg_n_rows(rows) == 0)
        say_which_is_missing(c, key);
    show(c, rows, secret);
}

static void create(struct command_call *c)
{
    struct operator_key key = { .tenant = command_tenant(c),
                                .name = c->argument,
                                .account = command_value(c, "--account") };
    const char         *models = command_value(c, "--models");
    const char         *expires = command_value(c, "--expires");
    struct buf          list = BUF(MODELS_MAX);
    char                seconds[24];

    command_read_limits(c, false, key.limits);
    if (models)
        key.models = read_models(models, &list);
    if (expires) {
        snprintf(seconds, sizeof seconds, "%llu",
                 (unsigned long long)command_seconds("--expires", expires));
        key.seconds = seconds;
    }
    make(c, &key);
    buf_release(&list);
}

/* ---- list, revoke -------------------------------------------------------------------- */

static void list(struct command_call *c)
{
    const char *tenant = command_value(c, "--tenant");

    if (tenant && !operator_has_tenant(command_database(c), tenant))
        die("there is no tenant \"%s\"", tenant);
    command_print_rows(c, operator_keys(c->db ? c->db : command_database(c), tenant));
}

static void revoke(struct command_call *c)
{
    const char           *tenant = command_tenant(c);
    const struct pg_rows *rows;
    uint64_t              id;

    if (!str_to_u64(str_of(c->argument), &id) || id > INT64_MAX)
        die("a key is revoked by its number, which \"runnel key list\" shows");
    rows = operator_revoke_key(command_database(c), tenant, c->argument);
    if (rows && pg_n_rows(rows) == 0)
        die("there is no key %s in the tenant \"%s\"", c->argument, tenant);
    command_print_row(c, rows);
}

static const struct command_option list_options[] = {
    COMMAND_ANY_TENANT,
    { NULL, NULL, NULL },
};

static const struct command_option revoke_options[] = {
    COMMAND_TENANT,
    { NULL, NULL, NULL },
};

const struct command command_key_create = {
    .words = "key create",
    .takes = "NAME",
    .about = "makes a key and shows it, this once",
    .options = create_options,
    .run = create,
};

const struct command command_key_list = {
    .words = "key list",
    .about = "lists the keys, without their secrets",
    .options = list_options,
    .run = list,
};

const struct command command_key_revoke = {
    .words = "key revoke",
    .takes = "ID",
    .about = "lets a key ask no more",
    .options = revoke_options,
    .run = revoke,
};
