/* command_limits.c - how much a key, an account or a tenant may use. */
#include "command/command_limits.h"

#include "base/log.h"

#include <string.h>

static const char lifted[] = "none";

static const struct {
    const char *option;
    uint64_t    min, max;
} whole_limits[] = {
    [OPERATOR_REQUESTS_PER_MINUTE] = { "--requests-per-minute", 1, INT32_MAX },
    [OPERATOR_TOKENS_PER_MINUTE] = { "--tokens-per-minute", 1, INT64_MAX },
    [OPERATOR_STREAMS] = { "--streams", 1, INT32_MAX },
    [OPERATOR_TOKENS_PER_DAY] = { "--tokens-per-day", 0, INT64_MAX },
};

static void check_whole(const char *text, size_t limit)
{
    uint64_t v;

    if (!str_to_u64(str_of(text), &v) || v < whole_limits[limit].min || v > whole_limits[limit].max)
        die("%s expects a whole number from %llu on, not \"%s\"", whole_limits[limit].option,
            (unsigned long long)whole_limits[limit].min, text);
}

/* Up to a million million, and to millionths: what the column holds. */
static void check_money(const char *text)
{
    struct str rest = str_of(text), whole;
    uint64_t   v;

    if (!str_next(&rest, '.', &whole) || whole.n > 12 || !str_to_u64(whole, &v) ||
        (rest.p && (rest.n > 6 || !str_to_u64(rest, &v))))
        die("--money-per-day expects an amount such as 5 or 2.50, not \"%s\"", text);
}

void command_read_limits(const struct command_call *c, bool may_lift,
                         const char *limits[OPERATOR_LIMITS])
{
    const char *money = command_value(c, "--money-per-day");

    for (size_t i = 0; i < sizeof whole_limits / sizeof *whole_limits; i++) {
        limits[i] = command_value(c, whole_limits[i].option);
        if (limits[i] && !(may_lift && strcmp(limits[i], lifted) == 0))
            check_whole(limits[i], i);
    }
    limits[OPERATOR_MONEY_PER_DAY] = money;
    if (money && !(may_lift && strcmp(money, lifted) == 0))
        check_money(money);
}

/* ---- of an account, of a tenant -------------------------------------------------------- */

static void limit(struct command_call *c, const char *tenant, const char *subject)
{
    const char           *limits[OPERATOR_LIMITS];
    const struct pg_rows *rows;

    command_read_limits(c, true, limits);
    rows = operator_limit(command_database(c), tenant, subject, limits);
    if (rows && pg_n_rows(rows) == 0) {
        if (!operator_has_tenant(c->db, tenant))
            die("there is no tenant \"%s\"", tenant);
        die("there is no account \"%s\" in the tenant \"%s\"", subject, tenant);
    }
    command_print_row(c, rows);
}

static void limit_account(struct command_call *c)
{
    limit(c, command_tenant(c), c->argument);
}

static void limit_tenant(struct command_call *c)
{
    limit(c, c->argument, NULL);
}

static const struct command_option account_options[] = {
    COMMAND_TENANT,
    COMMAND_LIMITS,
    { NULL, NULL, NULL },
};

static const struct command_option tenant_options[] = {
    COMMAND_LIMITS,
    { NULL, NULL, NULL },
};

const struct command command_account_limit = {
    .words = "account limit",
    .takes = "SUBJECT",
    .about = "sets what an account may use (\"none\": any), and shows it",
    .options = account_options,
    .run = limit_account,
};

const struct command command_tenant_limit = {
    .words = "tenant limit",
    .takes = "NAME",
    .about = "sets what a tenant may use (\"none\": any), and shows it",
    .options = tenant_options,
    .run = limit_tenant,
};
