/* command_tenant.c - tenants: sites whose data never meet. */
#include "base/log.h"
#include "command/command_parts.h"
#include "store/operator.h"

static const char already_there[] = "23505";

static void create(struct command_call *c)
{
    const struct pg_rows *rows = operator_make_tenant(command_database(c), c->argument);

    if (!rows && pg_now_failed_with(c->db, already_there))
        die("there is a tenant \"%s\" already", c->argument);
    command_print_row(c, rows);
}

static void list(struct command_call *c)
{
    command_print_rows(c, operator_tenants(command_database(c)));
}

const struct command command_tenant_create = {
    .words = "tenant create",
    .takes = "NAME",
    .about = "makes a tenant",
    .run = create,
};

const struct command command_tenant_list = {
    .words = "tenant list",
    .about = "lists the tenants",
    .run = list,
};
