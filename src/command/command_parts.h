/* command_parts.h - what the commands share; nobody else includes it. */
#ifndef COMMAND_COMMAND_PARTS_H
#define COMMAND_COMMAND_PARTS_H

#include "command/command.h"
#include "pg/pg_now.h"

#define COMMAND_TENANT { "--tenant", "NAME", "the tenant; otherwise \"default\"" }
#define COMMAND_ANY_TENANT { "--tenant", "NAME", "of this tenant only" }

enum { COMMAND_OPTIONS_MAX = 16, COMMAND_REPEATED_MAX = 64 };

struct command_option {
    const char *name;
    const char *takes;                        /* NULL: nothing; "WORD...": once or more */
    const char *help;
};

struct command_call {
    const struct command *command;
    const char           *argument;           /* what it takes, if it takes any */
    const char           *values[COMMAND_OPTIONS_MAX];      /* of its options, in order */
    struct str            repeated[COMMAND_REPEATED_MAX];   /* those that were given more than once */
    size_t                repeated_of[COMMAND_REPEATED_MAX];        /* which option */
    size_t                n_repeated;
    bool                  as_json;
    struct settings      *settings;
    struct pg_now        *db;
    int                   status;             /* what main() returns            */
};

struct command {
    const char                  *words;       /* one or two                     */
    const char                  *takes;       /* NULL: no argument; "[...]": it may be missing */
    const char                  *about;
    const char                  *more;        /* behind the options in its help; or NULL */
    const struct command_option *options;     /* ends with a row without a name; or NULL */
    bool                         is_meant;    /* by its first word alone        */
    void (*run)(struct command_call *c);
};

extern const struct command command_migrate;
extern const struct command command_tenant_create, command_tenant_list, command_tenant_limit;
extern const struct command command_account_list, command_account_approve, command_account_reject,
    command_account_disable, command_account_limit;
extern const struct command command_key_create, command_key_list, command_key_revoke;
extern const struct command command_tool_add, command_tool_list, command_tool_show,
    command_tool_disable, command_tool_enable, command_tool_remove;
extern const struct command command_token;
extern const struct command command_turns_list, command_turns_stop;
extern const struct command command_provider_test;
extern const struct command command_health;

/* NULL: not given. */
const char *command_value(const struct command_call *c, const char *option);

/* All of one that may be given more than once; how many. */
size_t      command_values(const struct command_call *c, const char *option,
                           struct str values[COMMAND_REPEATED_MAX]);
const char *command_tenant(const struct command_call *c);   /* or the default one */

/* "90s", "30d"... as seconds. */
uint64_t command_seconds(const char *option, const char *text);

/* Connected; the last one only with a schema that is ours. */
struct pg_now *command_open(const struct database_settings *s);
struct pg_now *command_connect(struct command_call *c);
struct pg_now *command_database(struct command_call *c);

/* Rows as a table, or as JSON: an array of objects, or for one row an object. NULL is what
 * pg_now_ask() gives when it failed, and ends the program. */
void command_print_rows(const struct command_call *c, const struct pg_rows *rows);
void command_print_row(const struct command_call *c, const struct pg_rows *rows);
void command_print_facts(const struct command_call *c,
                         const struct pg_rows      *rows); /* a line each */
void command_print_members(struct buf *out, const struct pg_rows *rows, size_t row);
void command_print(const struct buf *out);

/* Text from outside, which must not move the cursor. */
void command_add_shown(struct buf *out, struct str text);

#endif
