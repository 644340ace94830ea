/* command_account.c - accounts: people who ask, once they are approved. */
#include "base/log.h"
#include "command/command_parts.h"
#include "store/operator.h"

#include <string.h>

static void check_status(const char *status)
{
    static const char *const all[] = { "pending", "approved", "rejected", "disabled" };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(status, all[i]) == 0)
            return;
    die("--status expects pending, approved, rejected or disabled, not \"%s\"", status);
}

static void list(struct command_call *c)
{
    const char *tenant = command_value(c, "--tenant"), *status = command_value(c, "--status");

    if (status)
        check_status(status);
    if (tenant && !operator_has_tenant(command_database(c), tenant))
        die("there is no tenant \"%s\"", tenant);
    command_print_rows(c, operator_accounts(c->db ? c->db : command_database(c), tenant, status));
}

static void judge(struct command_call *c, const char *status)
{
    const char           *tenant = command_tenant(c);
    const struct pg_rows *rows =
        operator_judge_account(command_database(c), tenant, c->argument, status);

    if (rows && pg_n_rows(rows) == 0)
        die("there is no account \"%s\" in the tenant \"%s\"", c->argument, tenant);
    command_print_row(c, rows);
}

static void approve(struct command_call *c)
{
    judge(c, "approved");
}

static void reject(struct command_call *c)
{
    judge(c, "rejected");
}

static void disable(struct command_call *c)
{
    judge(c, "disabled");
}

static const struct command_option list_options[] = {
    COMMAND_ANY_TENANT,
    { "--status", "STATUS", "pending, approved, rejected or disabled ones only" },
    { NULL, NULL, NULL },
};

static const struct command_option judge_options[] = {
    COMMAND_TENANT,
    { NULL, NULL, NULL },
};

const struct command command_account_list = {
    .words = "account list",
    .about = "lists the accounts",
    .options = list_options,
    .run = list,
};

const struct command command_account_approve = {
    .words = "account approve",
    .takes = "SUBJECT",
    .about = "lets an account ask",
    .options = judge_options,
    .run = approve,
};

const struct command command_account_reject = {
    .words = "account reject",
    .takes = "SUBJECT",
    .about = "does not let a new account ask",
    .options = judge_options,
    .run = reject,
};

const struct command command_account_disable = {
    .words = "account disable",
    .takes = "SUBJECT",
    .about = "lets an account ask no more",
    .options = judge_options,
    .run = disable,
};
