#include "command/command.h"

#include "base/log.h"
#include "command/command_parts.h"
#include "store/migrate.h"

#include <stdio.h>
#include <string.h>

enum { OVERRIDES_MAX = 64, HELP_MAX = 64 * 1024 };

static const struct command *const commands[] = {
    &command_migrate,        &command_tenant_create,   &command_tenant_list,
    &command_tenant_limit,   &command_account_list,    &command_account_approve,
    &command_account_reject, &command_account_disable, &command_account_limit,
    &command_key_create,     &command_key_list,        &command_key_revoke,
    &command_tool_add,       &command_tool_list,       &command_tool_show,
    &command_tool_disable,   &command_tool_enable,     &command_tool_remove,
    &command_token,          &command_turns_list,      &command_turns_stop,
    &command_provider_test,  &command_health,
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const struct command_option common[] = {
    { "--config", "FILE", "the settings file" },
    { "--database", "URL", "the database, instead of the settings' database.url" },
    { "--set", "NAME=VALUE", "a setting" },
    { "--json", NULL, "answers as JSON" },
    { "--help", NULL, "this" },
    { NULL, NULL, NULL },
};

/* ---- which -------------------------------------------------------------------------- */

static struct str first_word(const struct command *c)
{
    return (struct str){ c->words, strcspn(c->words, " ") };
}

static const char *second_word(const struct command *c)
{
    const char *space = strchr(c->words, ' ');

    return space ? space + 1 : NULL;
}

bool command_is(const char *word)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (str_eq(first_word(commands[i]), str_of(word)))
            return true;
    return false;
}

static const struct command *find(const char *first, const char *second)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const char *want = second_word(commands[i]);

        if (str_eq(first_word(commands[i]), str_of(first)) &&
            (!want || (second ? strcmp(want, second) == 0 : commands[i]->is_meant)))
            return commands[i];
    }
    return NULL;
}

/* ---- help --------------------------------------------------------------------------- */

static void add_line(const struct command *c, struct buf *out)
{
    char usage[60];

    snprintf(usage, sizeof usage, "runnel %s%s%s", c->words, c->takes ? " " : "",
             c->takes ? c->takes : "");
    buf_addf(out, "       %-32s %s\n", usage, c->about);
}

void command_write_help(struct buf *out)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        add_line(commands[i], out);
}

static void add_options(const struct command_option *o, struct buf *out)
{
    for (; o && o->name; o++) {
        char usage[60];

        snprintf(usage, sizeof usage, "%s%s%s", o->name, o->takes ? " " : "",
                 o->takes ? o->takes : "");
        buf_addf(out, "  %-28s %s\n", usage, o->help);
    }
}

static int help(const struct command *c)
{
    struct buf out = BUF(HELP_MAX);

    buf_addf(&out, "runnel %s - %s\n\nusage: runnel %s%s%s [OPTION]...\n\n", c->words, c->about,
             c->words, c->takes ? " " : "", c->takes ? c->takes : "");
    add_options(c->options, &out);
    add_options(common, &out);
    if (c->more)
        buf_addf(&out, "\n%s\n", c->more);
    command_print(&out);
    buf_release(&out);
    return 0;
}

static int help_of_group(const char *first)
{
    struct buf out = BUF(HELP_MAX);

    buf_lit(&out, "usage:\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (str_eq(first_word(commands[i]), str_of(first)))
            add_line(commands[i], &out);
    buf_addf(&out, "Each has a --help of its own.\n");
    command_print(&out);
    buf_release(&out);
    return 0;
}

/* ---- the command line ---------------------------------------------------------------- */

struct line {
    int         argc, at;
    char      **argv;
    const char *file, *database;
    const char *overrides[OVERRIDES_MAX + 2]; /* one more, and the end          */
    size_t      n_overrides;
};

static void give_up(const struct command_call *c, const char *what, const char *about)
{
    die("%s: %s%s; see runnel %s --help", c->command->words, about, what, c->command->words);
}

static const char *value(const struct command_call *c, struct line *l)
{
    if (l->at + 1 >= l->argc)
        give_up(c, l->argv[l->at], "there is no value behind ");
    return l->argv[++l->at];
}

static void override(struct line *l, const char *text)
{
    if (l->n_overrides == OVERRIDES_MAX)
        die("too many --set; use a file");
    l->overrides[l->n_overrides++] = text;
}

static bool take_common(struct command_call *c, struct line *l)
{
    const char *name = l->argv[l->at];

    if (strcmp(name, "--config") == 0)
        l->file = value(c, l);
    else if (strcmp(name, "--set") == 0)
        override(l, value(c, l));
    else if (strcmp(name, "--database") == 0)
        l->database = value(c, l);
    else if (strcmp(name, "--json") == 0)
        c->as_json = true;
    else
        return false;
    return true;
}

static void take_repeated(struct command_call *c, size_t option, const char *text)
{
    if (c->n_repeated == COMMAND_REPEATED_MAX)
        give_up(c, c->command->options[option].name, "there are too many ");
    c->repeated_of[c->n_repeated] = option;
    c->repeated[c->n_repeated++] = str_of(text);
}

static bool may_be_repeated(const struct command_option *o)
{
    return o->takes && strstr(o->takes, "...");
}

static bool take_own(struct command_call *c, struct line *l)
{
    const struct command_option *o = c->command->options;

    for (size_t i = 0; o && o[i].name; i++) {
        if (strcmp(l->argv[l->at], o[i].name) != 0)
            continue;
        c->values[i] = o[i].takes ? value(c, l) : "";
        if (o[i].takes && !*c->values[i])
            give_up(c, o[i].name, "there is nothing behind ");
        if (may_be_repeated(&o[i]))
            take_repeated(c, i, c->values[i]);
        return true;
    }
    return false;
}

static void take_argument(struct command_call *c, const char *text)
{
    if (!c->command->takes || c->argument)
        give_up(c, text, "there is no place for ");
    c->argument = text;
}

static void read_line(struct command_call *c, struct line *l)
{
    bool are_over = false;                    /* the options                    */

    for (; l->at < l->argc; l->at++) {
        const char *word = l->argv[l->at];

        if (!are_over && strcmp(word, "--") == 0)
            are_over = true;
        else if (are_over || word[0] != '-')
            take_argument(c, word);
        else if (!take_common(c, l) && !take_own(c, l))
            give_up(c, word, "there is no option ");
    }
    if (c->command->takes && c->command->takes[0] != '[' && (!c->argument || !*c->argument))
        give_up(c, c->command->takes, "it wants a ");
}

static bool wants_help(const struct line *l)
{
    for (int i = l->at; i < l->argc && strcmp(l->argv[i], "--") != 0; i++)
        if (strcmp(l->argv[i], "--help") == 0)
            return true;
    return false;
}

/* ---- what a command is given --------------------------------------------------------- */

const char *command_value(const struct command_call *c, const char *option)
{
    for (size_t i = 0; c->command->options[i].name; i++)
        if (strcmp(c->command->options[i].name, option) == 0)
            return c->values[i];
    return NULL;
}

size_t command_values(const struct command_call *c, const char *option,
                      struct str values[COMMAND_REPEATED_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_repeated; i++)
        if (strcmp(c->command->options[c->repeated_of[i]].name, option) == 0)
            values[n++] = c->repeated[i];
    return n;
}

const char *command_tenant(const struct command_call *c)
{
    const char *tenant = command_value(c, "--tenant");

    return tenant ? tenant : "default";
}

uint64_t command_seconds(const char *option, const char *text)
{
    static const struct {
        char     unit;
        uint64_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 } };
    static const uint64_t hundred_years = 36525ull * 86400;
    size_t                n = strlen(text);
    uint64_t              v;

    for (size_t i = 0; n && i < sizeof units / sizeof *units; i++)
        if (text[n - 1] == units[i].unit && str_to_u64((struct str){ text, n - 1 }, &v) && v > 0 &&
            v <= hundred_years / units[i].seconds)
            return v * units[i].seconds;
    die("%s expects a time such as 90s, 15m, 12h, 30d or 4w (at most 100 years), not \"%s\"",
        option, text);
}

struct pg_now *command_open(const struct database_settings *s)
{
    char           why[PG_WHY_MAX];
    struct pg_now *db;

    if (s->url.n == 0)
        die("there is no database: give --database URL, or database.url in the settings");
    db = pg_now_open(s->url, s->connect_timeout, why);
    if (!db)
        die("the database cannot be reached: %s", why);
    return db;
}

struct pg_now *command_connect(struct command_call *c)
{
    c->db = command_open(&c->settings->database);
    return c->db;
}

struct pg_now *command_database(struct command_call *c)
{
    struct buf words = BUF(4096);

    if (store_schema_is(command_connect(c), &words) != SCHEMA_CURRENT)
        die("%.*s", STR_ARG(buf_str(&words)));
    buf_release(&words);
    return c->db;
}

/* ---- the whole ----------------------------------------------------------------------- */

static struct settings *load(struct line *l)
{
    struct buf       mistakes = BUF(64 * 1024), url = BUF(64 * 1024);
    struct settings *s;

    if (l->database) {
        buf_addf(&url, "database.url=%s", l->database);
        buf_add_char(&url, '\0');
        if (url.over)
            die("the address of the database is too long");
        l->overrides[l->n_overrides++] = url.p;             /* the last one counts */
    }
    s = settings_load(l->file, l->overrides, &mistakes);
    buf_release(&url);
    if (!s) {
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&mistakes)));
        die("the settings have mistakes; nothing was done");
    }
    buf_release(&mistakes);
    return s;
}

int command_run(int argc, char **argv)
{
    const char         *second = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    struct command_call c = { .command = find(argv[0], second) };
    struct line         l = { .argc = argc, .argv = argv, .at = 1 };

    if (!second && wants_help(&l) && (!c.command || second_word(c.command)))
        return help_of_group(argv[0]);
    if (!c.command)
        die("%s what? %s%s%sSee runnel %s --help", argv[0], second ? "There is no \"" : "",
            second ? second : "", second ? "\". " : "", argv[0]);
    l.at += second && second_word(c.command);
    if (wants_help(&l))
        return help(c.command);
    read_line(&c, &l);
    c.settings = load(&l);
    c.command->run(&c);
    pg_now_close(c.db);
    settings_free(c.settings);
    return c.status;
}
