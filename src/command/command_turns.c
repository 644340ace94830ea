/* command_turns.c - turns that run, wherever they do: who they are, and an end for one.
 *
 * Stopping is asking: the process that makes the answer hears of it at once, or where nobody
 * is told (database.notifies: false) when it renews its lease. So this waits a moment to see
 * what becomes of it.
 */
#include "base/clock.h"
#include "base/log.h"
#include "command/command_parts.h"
#include "store/operator.h"

#include <stdio.h>
#include <time.h>

enum { LOOK_EVERY_MS = 100, LOOK_FOR_MS = 5000 };

static void list(struct command_call *c)
{
    const char *tenant = command_value(c, "--tenant");

    if (tenant && !operator_has_tenant(command_database(c), tenant))
        die("there is no tenant \"%s\"", tenant);
    command_print_rows(c, operator_turns(c->db ? c->db : command_database(c), tenant));
}

/* ---- stop ------------------------------------------------------------------------------ */

static const struct pg_rows *look(struct command_call *c, const char *tenant)
{
    const struct pg_rows *rows = operator_turn(c->db, tenant, c->argument);

    if (!rows)
        die("the database refuses: %s", pg_now_why(c->db));
    if (pg_n_rows(rows) == 0)
        die("there is no turn \"%s\" in the tenant \"%s\"", c->argument, tenant);
    return rows;
}

static bool is_stopping(const struct pg_rows *rows)
{
    return str_eq(pg_get(rows, 0, OPERATOR_TURN_STATE), STR("stopping"));
}

static const struct pg_rows *wait_for_end(struct command_call *c, const char *tenant)
{
    const struct timespec moment = { .tv_nsec = LOOK_EVERY_MS * (long)CLOCK_MS };
    const struct pg_rows *rows = look(c, tenant);

    for (int i = 0; i < LOOK_FOR_MS / LOOK_EVERY_MS && is_stopping(rows); i++) {
        nanosleep(&moment, NULL);
        rows = look(c, tenant);
    }
    return rows;
}

static void say(const char *what)
{
    fprintf(stderr, "runnel: %s\n", what);
}

static void stop(struct command_call *c)
{
    const char           *tenant = command_tenant(c);
    const struct pg_rows *rows = operator_stop_turn(command_database(c), tenant, c->argument,
                                                    c->settings->database.notifies);
    struct str            state;

    if (!rows)
        die("the database refuses: %s", pg_now_why(c->db));
    if (pg_n_rows(rows) == 0)
        say("it had ended already");
    rows = wait_for_end(c, tenant);
    state = pg_get(rows, 0, OPERATOR_TURN_STATE);
    if (str_eq(state, STR("stopping")))
        say("it was asked to stop, and its process has not done so yet");
    else if (str_eq(state, STR("left behind")))
        say("the process that made it is gone; another one will end it as interrupted");
    command_print_row(c, rows);
}

static const struct command_option list_options[] = {
    COMMAND_ANY_TENANT,
    { NULL, NULL, NULL },
};

static const struct command_option stop_options[] = {
    COMMAND_TENANT,
    { NULL, NULL, NULL },
};

const struct command command_turns_list = {
    .words = "turns list",
    .about = "lists the kept turns that run, in any process",
    .options = list_options,
    .is_meant = true,
    .run = list,
};

const struct command command_turns_stop = {
    .words = "turns stop",
    .takes = "TURN",
    .about = "stops a turn, wherever it runs, and says what came of it",
    .options = stop_options,
    .run = stop,
};
