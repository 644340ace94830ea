/* tenant_tools_test.c - what is known of tenants' tools, and when it is asked for, with a store
 * that answers when it is told to. */
#include "tool/tenant_tools.h"

#include "check.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "net/tls.h"
#include "store/tools.h"

enum {
    CACHE_S = 5,
    PATIENCE_MS = 1000,
    RETRY_MS = 1000,
    ASKS = 4,
    PENDING_MAX = 4,
    SHELVES = 1000
};

/* ---- a store ------------------------------------------------------------------------------- */

static struct {
    bool             is_away;
    size_t           reads;
    struct verb     *pending[PENDING_MAX];
    int32_t          tenants[PENDING_MAX];
    size_t           n;
    struct kept_tool tools[TENANT_TOOLS_MAX];   /* what the next answer brings  */
    size_t           n_tools;
    unsigned char    version;
} fake;

static struct store *const store = (struct store *)&fake;
static char                work;

bool store_is_ready(const struct store *s)
{
    assert_ptr_equal(s, store);
    return !fake.is_away;
}

const char *store_why(const struct store *s)
{
    (void)s;
    return "it is away";
}

void tools_of_tenant(struct store *s, struct tools_call *c, int32_t tenant)
{
    assert_ptr_equal(s, store);
    assert_null(c->verb.work);
    assert_non_null(c->verb.done);
    assert_true(fake.n < PENDING_MAX);
    c->verb.work = (struct pg_work *)&work;
    fake.tenants[fake.n] = tenant;
    fake.pending[fake.n++] = &c->verb;
    fake.reads++;
}

void verb_drop(struct verb *v)
{
    for (size_t i = 0; i < fake.n; i++)
        if (fake.pending[i] == v) {
            fake.n--;
            memmove(fake.pending + i, fake.pending + i + 1, (fake.n - i) * sizeof v);
            memmove(fake.tenants + i, fake.tenants + i + 1, (fake.n - i) * sizeof *fake.tenants);
        }
    v->work = NULL;
    arena_release(&v->arena);
}

/* To the one that waits longest. */
static void answer(enum store_end end)
{
    struct verb       *v = fake.pending[0];
    struct tools_call *c = (struct tools_call *)v;

    assert_true(fake.n > 0);
    fake.n--;
    memmove(fake.pending, fake.pending + 1, fake.n * sizeof v);
    memmove(fake.tenants, fake.tenants + 1, fake.n * sizeof *fake.tenants);
    v->work = NULL;
    v->end = end;
    v->why = "it says no";
    c->tools = fake.tools;
    c->n = fake.n_tools;
    memset(c->digest, fake.version, sizeof c->digest);
    v->done(v);
}

static struct kept_tool good(const char *name)
{
    return (struct kept_tool){ .name = str_of(name),
                               .description = STR("it does"),
                               .method = STR("GET"),
                               .url = STR("https://example.com/{a}"),
                               .parameters = STR("{\"type\":\"object\"}"),
                               .timeout = STR("2000ms"),
                               .max_output = STR("4096"),
                               .alone = STR("true"),
                               .headers = STR(""),
                               .is_for_all = true };
}

/* From now on there are these. */
static void keep(const struct kept_tool *tools, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fake.tools[i] = tools[i];
    fake.n_tools = n;
    fake.version++;
}

static void keep_one(const char *name)
{
    struct kept_tool t = good(name);

    keep(&t, 1);
}

/* ---- who asks ------------------------------------------------------------------------------ */

static struct visitor {
    struct tenant_ask ask;
    unsigned          told;
} visitors[ASKS];
static uint64_t now_ms = 1000;

static void on_known(struct tenant_ask *a)
{
    LIST_OWNER(a, struct visitor, ask)->told++;
}

static bool asks(size_t i, int32_t tenant)
{
    visitors[i].ask.done = on_known;
    return !tenant_tools_ask(&visitors[i].ask, tenant);
}

static void pass_ms(uint64_t ms)
{
    now_ms += ms;
    clock_fake(now_ms * CLOCK_MS);
    deadlines_run(clock_now());
}

/* The names of those that are known, each with a blank behind it. */
static void check_known(int32_t tenant, const char *model, const char *want)
{
    struct toolset set = { NULL, 0 };
    struct buf     names = BUF(4096);

    tenant_tools_pick(&set, tenant, str_of(model));
    for (size_t i = 0; i < set.n; i++)
        buf_addf(&names, "%.*s ", STR_ARG(set.tools[i]->name));
    check_text(buf_str(&names), want);
    buf_release(&names);
    toolset_release(&set);
}

/* As when nobody has asked before. */
static void read_for(int32_t tenant)
{
    assert_true(asks(0, tenant));
    answer(STORE_OK);
}

static struct model_settings models[] = { { .tenant_tools = false }, { .tenant_tools = true } };

static void use(bool is_wanted, struct store *s)
{
    struct settings settings = { .access.cache = CACHE_S * CLOCK_S };

    settings.models = (struct conf_records){ models, is_wanted ? 2 : 1 };
    tenant_tools_use(&settings, s);
}

static int begin(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof fake);
    memset(visitors, 0, sizeof visitors);
    pass_ms(10000);
    use(true, store);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tenant_tools_release();
    assert_int_equal(deadlines_next(), UINT64_MAX);
    tls_release();
    return 0;
}

/* ---- when it is read ----------------------------------------------------------------------- */

TEST(it_is_read_once_for_all_who_ask_and_believed_for_a_while)
{
    keep_one("a");
    assert_true(asks(0, 7));
    assert_true(asks(1, 7));
    assert_true(asks(2, 7));
    assert_int_equal(fake.reads, 1);
    assert_int_equal(fake.tenants[0], 7);
    tenant_tools_leave(&visitors[1].ask);
    answer(STORE_OK);
    assert_int_equal(visitors[0].told, 1);
    assert_int_equal(visitors[1].told, 0);
    assert_int_equal(visitors[2].told, 1);
    check_known(7, "m", "a ");
    assert_int_equal(deadlines_next(), UINT64_MAX);       /* nobody is late     */
    pass_ms(CACHE_S * 1000 - 1);
    assert_false(asks(0, 7));
    pass_ms(1);
    assert_true(asks(0, 7));
    assert_int_equal(fake.reads, 2);
    answer(STORE_OK);
    assert_int_equal(visitors[0].told, 2);
    tenant_tools_leave(&visitors[0].ask);       /* harmless                       */
}

TEST(tenants_do_not_see_each_others)
{
    keep_one("a");
    read_for(7);
    keep_one("b");
    read_for(8);
    check_known(7, "m", "a ");
    check_known(8, "m", "b ");
    check_known(7 + 256, "m", "");            /* of the same bucket             */
    check_known(-7, "m", "");
    keep(NULL, 0);
    read_for(7 + 256);
    check_known(7 + 256, "m", "");
}

TEST(nothing_is_read_where_nobody_wants_it)
{
    use(false, store);
    assert_false(asks(0, 7));
    use(true, NULL);
    assert_false(asks(0, 7));
    assert_int_equal(fake.reads, 0);
    check_known(7, "m", "");
}

TEST(who_has_no_tools_is_read_no_more_often)
{
    read_for(7);
    assert_false(asks(0, 7));
    assert_int_equal(fake.reads, 1);
}

/* ---- when it cannot be read ---------------------------------------------------------------- */

TEST(what_was_known_stays_when_it_cannot_be_read)
{
    keep_one("a");
    read_for(7);
    pass_ms(CACHE_S * 1000);
    keep_one("b");
    assert_true(asks(0, 7));
    answer(STORE_UNKNOWN);
    assert_int_equal(visitors[0].told, 2);
    check_known(7, "m", "a ");
    assert_false(asks(0, 7));                 /* not again at once              */
    pass_ms(RETRY_MS);
    read_for(7);
    check_known(7, "m", "b ");
}

TEST(where_nothing_was_known_there_is_nothing)
{
    keep_one("a");
    assert_true(asks(0, 7));
    answer(STORE_BUSY);
    assert_int_equal(visitors[0].told, 1);
    check_known(7, "m", "");
}

TEST(nobody_waits_long)
{
    keep_one("a");
    assert_true(asks(0, 7));
    pass_ms(PATIENCE_MS - 1);
    assert_true(asks(1, 7));
    assert_int_equal(visitors[0].told, 0);
    pass_ms(1);
    assert_int_equal(visitors[0].told, 1);
    assert_int_equal(visitors[1].told, 1);
    assert_false(asks(2, 7));                 /* it is late already             */
    pass_ms(60000);
    assert_false(asks(2, 7));
    assert_int_equal(fake.reads, 1);
    check_known(7, "m", "");
    answer(STORE_OK);
    check_known(7, "m", "a ");
    assert_int_equal(visitors[0].told, 1);
}

TEST(a_database_that_is_away_is_not_waited_for)
{
    keep_one("a");
    read_for(7);
    pass_ms(CACHE_S * 1000);
    fake.is_away = true;
    assert_false(asks(0, 7));
    check_known(7, "m", "a ");
    assert_int_equal(fake.reads, 1);
    fake.is_away = false;
    assert_false(asks(0, 7));                 /* not looked at again at once    */
    pass_ms(RETRY_MS);
    assert_true(asks(0, 7));
    assert_int_equal(fake.reads, 2);
    answer(STORE_OK);
}

/* It may be about to come. */
TEST(a_database_that_is_not_there_yet_is_waited_for_a_while)
{
    fake.is_away = true;
    assert_true(asks(0, 7));
    pass_ms(PATIENCE_MS);
    assert_int_equal(visitors[0].told, 1);
    answer(STORE_AWAY);
    assert_false(asks(0, 7));
    pass_ms(RETRY_MS);
    assert_true(asks(0, 7));
    answer(STORE_AWAY);
    assert_int_equal(visitors[0].told, 2);
}

/* ---- what it is ---------------------------------------------------------------------------- */

static struct tool *first_of(int32_t tenant)
{
    struct toolset set = { NULL, 0 };
    struct tool   *t;

    tenant_tools_pick(&set, tenant, STR("m"));
    assert_int_equal(set.n, 1);
    t = tool_retain(set.tools[0]);
    toolset_release(&set);
    return t;
}

TEST(it_is_made_as_it_is_kept)
{
    struct tool *t;

    keep_one("a");
    read_for(7);
    t = first_of(7);
    check_str(t->name, "a");
    check_str(t->description, "it does");
    check_str(t->parameters, "{\"type\":\"object\"}");
    assert_int_equal(t->timeout, 2 * CLOCK_S);
    assert_int_equal(t->output_limit, 4096);
    assert_true(t->runs_alone);
    tool_drop(t);
}

TEST(what_has_not_changed_stays_and_what_runs_outlives_a_change)
{
    struct tool *first, *again;

    keep_one("a");
    read_for(7);
    first = first_of(7);
    pass_ms(CACHE_S * 1000);
    read_for(7);
    again = first_of(7);
    assert_ptr_equal(first, again);
    tool_drop(again);
    fake.version++;
    pass_ms(CACHE_S * 1000);
    read_for(7);
    again = first_of(7);
    assert_ptr_not_equal(first, again);
    assert_int_equal(first->refs, 1);
    tool_drop(again);
    tool_drop(first);
}

TEST(it_is_for_the_models_it_names)
{
    struct kept_tool tools[] = { good("a"), good("b"), good("c") };
    char             models_of_a[] = "m\nn";

    tools[0].is_for_all = false;
    tools[0].models = str_of(models_of_a);
    tools[1].is_for_all = false;
    tools[1].models = STR("");
    keep(tools, 3);
    read_for(7);
    memset(models_of_a, 'x', sizeof models_of_a - 1);     /* it was the verb's  */
    check_known(7, "m", "a c ");
    check_known(7, "n", "a c ");
    check_known(7, "m\nn", "c ");
    check_known(7, "", "c ");
}

TEST(of_one_name_the_settings_tool_stays_and_there_is_an_end)
{
    char             names[TENANT_TOOLS_MAX][8];
    struct kept_tool tools[TENANT_TOOLS_MAX];
    struct toolset   set = { NULL, 0 };
    struct tool     *ours;

    keep_one("t0");
    read_for(7);
    ours = first_of(7);
    for (size_t i = 0; i < TENANT_TOOLS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "t%zu", i);
        tools[i] = good(names[i]);
    }
    keep(tools, TENANT_TOOLS_MAX);
    read_for(8);
    toolset_add(&set, ours);
    tenant_tools_pick(&set, 8, STR("m"));
    assert_int_equal(set.n, TENANT_TOOLS_MAX);
    assert_ptr_equal(set.tools[0], ours);
    for (size_t i = 0; i < TENANT_TOOLS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "u%zu", i);
        tools[i] = good(names[i]);
    }
    keep(tools, TENANT_TOOLS_MAX);
    read_for(9);
    tenant_tools_pick(&set, 9, STR("m"));
    keep_one("one_more");
    read_for(10);
    tenant_tools_pick(&set, 10, STR("m"));
    assert_int_equal(set.n, TOOLSET_MAX);
    toolset_release(&set);
    tool_drop(ours);
}

#define BAD(member, text) { offsetof(struct kept_tool, member), STR_INIT(text) }

/* Whoever can write into the table could have written anything. */
TEST(what_settings_would_refuse_is_left_out)
{
    static const struct {
        size_t     at;
        struct str text;
    } rows[] = {
        BAD(name, ""),
        BAD(name, "a b"),
        BAD(name, "calculator"),
        BAD(method, "get"),
        BAD(method, "CONNECT"),
        BAD(url, ""),
        BAD(url, "ftp://example.com/"),
        BAD(url, "https://{host}/"),
        BAD(url, "http://127.0.0.1/"),
        BAD(url, "http://[::1]/"),
        BAD(url, "http://169.254.169.254/latest/meta-data/"),
        BAD(url, "http://10.0.0.1/"),
        BAD(url, "http://0x7f.1/"),
        BAD(parameters, ""),
        BAD(parameters, "[]"),
        BAD(parameters, "{\"type\":\"string\"}"),
        BAD(timeout, "0ms"),
        BAD(timeout, "-1ms"),
        BAD(timeout, "99999999ms"),
        BAD(max_output, "1"),
        BAD(max_output, "99999999"),
        BAD(alone, "perhaps"),
        BAD(headers, "Host: example.com"),
        BAD(headers, "X-Key: a\nno field"),
        BAD(headers, "X-Key: a\rb"),
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kept_tool tools[] = { good("a"), good("b"), good("c") };

        *(struct str *)((char *)&tools[1] + rows[i].at) = rows[i].text;
        keep(tools, 3);
        read_for(7);
        check_known(7, "m", "a c ");
        pass_ms(CACHE_S * 1000);
    }
}

TEST(what_is_too_large_is_left_out)
{
    static char      text[100000];
    struct kept_tool tools[] = { good("a"), good("b"), good("c") };

    memset(text, 'x', sizeof text);
    tools[1].description = (struct str){ text, 4097 };
    keep(tools, 3);
    read_for(7);
    check_known(7, "m", "a c ");
    tools[1].description = (struct str){ text, 4096 };
    keep(tools, 3);
    pass_ms(CACHE_S * 1000);
    read_for(7);
    check_known(7, "m", "a b c ");
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "X: y\n"[i % 5];
    tools[1].headers = (struct str){ text, 32 * 5 };
    keep(tools, 3);
    pass_ms(CACHE_S * 1000);
    read_for(7);
    check_known(7, "m", "a b c ");
    tools[1].headers = (struct str){ text, 33 * 5 };
    keep(tools, 3);
    pass_ms(CACHE_S * 1000);
    read_for(7);
    check_known(7, "m", "a c ");
}

/* ---- many, and the end --------------------------------------------------------------------- */

TEST(the_oldest_are_forgotten_but_not_under_who_waits)
{
    keep_one("a");
    assert_true(asks(1, 1));
    for (int32_t tenant = 2; tenant <= SHELVES + 1; tenant++) {
        assert_true(asks(0, tenant));
        fake.pending[0] = fake.pending[fake.n - 1];   /* the first one waits on */
        fake.n = 1;
        answer(STORE_OK);
    }
    assert_int_equal(visitors[1].told, 0);
    check_known(2, "m", "");
    check_known(3, "m", "a ");
    check_known(SHELVES + 1, "m", "a ");
    pass_ms(PATIENCE_MS);
    assert_int_equal(visitors[1].told, 1);
}

TEST(whoever_waits_at_the_end_is_not_told)
{
    assert_true(asks(0, 7));
    tenant_tools_release();
    assert_int_equal(fake.n, 0);
    assert_int_equal(visitors[0].told, 0);
    tenant_tools_leave(&visitors[0].ask);
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(it_is_read_once_for_all_who_ask_and_believed_for_a_while),
        ONE(tenants_do_not_see_each_others),
        ONE(nothing_is_read_where_nobody_wants_it),
        ONE(who_has_no_tools_is_read_no_more_often),
        ONE(what_was_known_stays_when_it_cannot_be_read),
        ONE(where_nothing_was_known_there_is_nothing),
        ONE(nobody_waits_long),
        ONE(a_database_that_is_away_is_not_waited_for),
        ONE(a_database_that_is_not_there_yet_is_waited_for_a_while),
        ONE(it_is_made_as_it_is_kept),
        ONE(what_has_not_changed_stays_and_what_runs_outlives_a_change),
        ONE(it_is_for_the_models_it_names),
        ONE(of_one_name_the_settings_tool_stays_and_there_is_an_end),
        ONE(what_settings_would_refuse_is_left_out),
        ONE(what_is_too_large_is_left_out),
        ONE(the_oldest_are_forgotten_but_not_under_who_waits),
        ONE(whoever_waits_at_the_end_is_not_told),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
