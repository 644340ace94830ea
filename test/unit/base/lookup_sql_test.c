/* lookup_sql_test.c - names in an operator's query: what is one, what is none, and what is
 * wrong with it.
 */
#include "check.h"

#include "base/lookup_sql.h"

static struct lookup_sql q;
static char              why[LOOKUP_WHY_MAX];

static bool reads(const char *sql, unsigned names)
{
    lookup_sql_release(&q);
    return lookup_sql_read(&q, str_of(sql), names, why);
}

struct row {
    const char *sql, *want;
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check_that(reads(rows[i].sql, LOOKUP_OF_ONE), "%s: %s", rows[i].sql, why);
        check_text(buf_str(&q.text), rows[i].want);
    }
}

TEST(a_name_becomes_a_number)
{
    static const struct row rows[] = {
        { "SELECT 1", "SELECT 1" },
        { "SELECT :context_id", "SELECT ($1)" },
        { "SELECT :user_id, :site_id, :tenant, :page", "SELECT ($1), ($2), ($3), ($4)" },
        { "SELECT t FROM a WHERE i=:context_id", "SELECT t FROM a WHERE i=($1)" },
        { "SELECT :context_id::bigint", "SELECT ($1)::bigint" },
        { "SELECT f(:context_id,:page)", "SELECT f(($1),($2))" },
        { "SELECT 1 LIMIT:site_id", "SELECT 1 LIMIT ($1)" },
        { "SELECT 1 LIMIT:site_id+1", "SELECT 1 LIMIT ($1)+1" },
    };

    check_rows(rows, COUNT(rows));
}

TEST(each_place_has_a_number_and_a_type_of_its_own)
{
    assert_true(
        reads("SELECT :page WHERE :site_id = 1 AND :page = '' AND :context_id = 1", LOOKUP_OF_ONE));
    check_buf(&q.text, "SELECT ($1) WHERE ($2) = 1 AND ($3) = '' AND ($4) = 1");
    assert_int_equal(q.n, 4);
    assert_int_equal(q.names[0], LOOKUP_PAGE);
    assert_int_equal(q.names[1], LOOKUP_SITE_ID);
    assert_int_equal(q.names[2], LOOKUP_PAGE);
    assert_int_equal(q.names[3], LOOKUP_CONTEXT_ID);
}

TEST(where_the_database_could_not_tell_there_is_a_type)
{
    static const struct row rows[] = {
        { "SELECT :filters ->> 'a'",
          "SELECT (nullif($1::jsonb - 'contextId'::text, '{}'::jsonb)) ->> 'a'" },
        { "SELECT :page IS NULL", "SELECT ($1::text) IS NULL" },
        { "SELECT :page\n is\tNot  null", "SELECT ($1::text)\n is\tNot  null" },
        { "SELECT :page IS NOT DISTINCT FROM x", "SELECT ($1) IS NOT DISTINCT FROM x" },
        { "SELECT :page isnull", "SELECT ($1) isnull" },
        { "SELECT :page IS", "SELECT ($1) IS" },
        { "SELECT :page, x IS NULL", "SELECT ($1), x IS NULL" },
    };

    check_rows(rows, COUNT(rows));
    assert_true(reads("SELECT 1 WHERE i = ANY (:context_ids)", LOOKUP_OF_MANY));
    check_buf(&q.text, "SELECT 1 WHERE i = ANY (($1::text[]))");
    assert_true(reads("SELECT (:context_ids)[1], :context_ids IS NULL", LOOKUP_OF_MANY));
    check_buf(&q.text, "SELECT (($1::text[]))[1], ($2::text[]) IS NULL");
}

TEST(what_only_looks_like_a_name_stays)
{
    static const char *const rows[] = {
        "SELECT ':page'",
        "SELECT 'it''s :page', ':nobody'",
        "SELECT 'a\\' AS b, ' :page'",
        "SELECT E'a\\' :page', e'\\\\'",
        "SELECT E'\\'' ' :page'",
        "SELECT U&'\\0061 :page'",
        "SELECT \":page\", \"a\"\":page\"",
        "SELECT U&\":page\"",
        "SELECT $$:page$$",
        "SELECT $a$ :page $b$ ; $$ $a$",
        "SELECT $\xe4\xb8\xad$ :page $\xe4\xb8\xad$",
        "SELECT a$b$ FROM x$1",
        "SELECT 1 -- :page; '\n",
        "SELECT 1 -- :page",
        "SELECT 1 --\r\n/* :page ; ' */",
        "SELECT /* a /* :page */ :nobody ; */ 1",
        "SELECT /**/ 1 /*/ :page */",
        "-- first\n/* second ; */ SELECT 1",
        "SELECT now()::date, '1'::int",
        "SELECT x::page FROM page",
        "SELECT f(a := 1, b:=2, c => 3)",
        "SELECT a[1:2], a[:2], a[1:]",
        "SELECT a : 1",
        "SELECT ((1)), (2) = (((3)))",
        "SELECT '(', \")\", $$($$ -- (",
        "(SELECT 1) UNION (SELECT 2)",
        "  with a AS (SELECT 1) TABLE a",
        "VALUES (1, 2)",
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_that(reads(rows[i], LOOKUP_OF_ONE), "%s: %s", rows[i], why);
        check_text(buf_str(&q.text), rows[i]);
        assert_int_equal(q.n, 0);
    }
}

TEST(behind_what_only_looks_like_a_name_one_is_found)
{
    static const struct row rows[] = {
        { "SELECT ':' || :page", "SELECT ':' || ($1)" },
        { "SELECT 'a\\' || :page", "SELECT 'a\\' || ($1)" },
        { "SELECT E'\\\\' || :page", "SELECT E'\\\\' || ($1)" },
        { "SELECT name'\\' || :page", "SELECT name'\\' || ($1)" },
        { "SELECT $a$ $$ $a$ || :page", "SELECT $a$ $$ $a$ || ($1)" },
        { "SELECT a$a$ || :page", "SELECT a$a$ || ($1)" },
        { "SELECT 1 --'\n + :site_id", "SELECT 1 --'\n + ($1)" },
        { "SELECT 1 /*'*/ + :site_id", "SELECT 1 /*'*/ + ($1)" },
        { "SELECT \"'\" || :page", "SELECT \"'\" || ($1)" },
        { "SELECT 5 - -:site_id", "SELECT 5 - -($1)" },
        { "SELECT '\xe4\xb8\xad\xe6\x96\x87' || :page",
          "SELECT '\xe4\xb8\xad\xe6\x96\x87' || ($1)" },
    };

    check_rows(rows, COUNT(rows));
}

TEST(what_is_wrong_is_told)
{
    static const struct row rows[] = {
        { "", "there is no query in it" },
        { " \n-- nothing", "there is no query in it" },
        { "SELECT :contextid", "there is no :contextid; there are :context_id, :user_id, "
                               ":site_id, :tenant, :page, :filters" },
        { "SELECT :Page", "there is no :Page; there are :context_id, :user_id, "
                          ":site_id, :tenant, :page, :filters" },
        { "SELECT :page_id", "there is no :page_id; there are :context_id, :user_id, "
                             ":site_id, :tenant, :page, :filters" },
        { "SELECT :\xe4\xb8\xad", "there is no :\xe4\xb8\xad; there are :context_id, :user_id, "
                                  ":site_id, :tenant, :page, :filters" },
        { "SELECT :context_ids", "there is no :context_ids; there are :context_id, :user_id, "
                                 ":site_id, :tenant, :page, :filters" },
        { "SELECT $1", "values have names here, such as :context_id, and no numbers" },
        { "SELECT 1$1", "values have names here, such as :context_id, and no numbers" },
        { "SELECT 1; SELECT 2", "it must be one statement, without a semicolon" },
        { "SELECT 1;", "it must be one statement, without a semicolon" },
        { "SELECT 'a", "a ' is never closed" },
        { "SELECT 'a''", "a ' is never closed" },
        { "SELECT E'a\\'", "a ' is never closed" },
        { "SELECT E'a\\", "a ' is never closed" },
        { "SELECT \"a", "a \" is never closed" },
        { "SELECT $a$ $b$", "a $a$ is never closed" },
        { "SELECT $$ $", "a $$ is never closed" },
        { "SELECT /* /* */ 1", "a comment is never closed" },
        { "SELECT 1 /*/", "a comment is never closed" },
        { "SELECT (1", "a parenthesis is never closed" },
        { "SELECT 1) UNION (SELECT 2", "a parenthesis is closed that was not opened" },
        { "UPDATE a SET b = 1", "a query begins with SELECT, WITH, VALUES or TABLE" },
        { "(DELETE FROM a)", "a query begins with SELECT, WITH, VALUES or TABLE" },
        { "selected", "a query begins with SELECT, WITH, VALUES or TABLE" },
        { ":page", "a query begins with SELECT, WITH, VALUES or TABLE" },
        { "'SELECT'", "a query begins with SELECT, WITH, VALUES or TABLE" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_that(!reads(rows[i].sql, LOOKUP_OF_ONE), "%s: good", rows[i].sql);
        check_text(str_of(why), rows[i].want);
    }
    assert_false(reads("SELECT :context_id", LOOKUP_OF_MANY));
    check_text(str_of(why), "there is no :context_id; there are :user_id, :site_id, :tenant, "
                            ":context_ids");
}

TEST(a_long_name_is_told_up_to_a_whole_character)
{
    char sql[300] = "SELECT :";

    for (size_t i = 0; i < 40; i++)
        memcpy(sql + 8 + 3 * i, "\xe4\xb8\xad", 4);
    assert_false(reads(sql, LOOKUP_OF_ONE));
    assert_memory_equal(why + 13 + 63, "; there are", 11);
}

TEST(there_are_limits)
{
    static char sql[LOOKUP_SQL_MAX + 2] = "SELECT 1";
    struct buf  many = BUF(1000);

    memset(sql + 8, ' ', LOOKUP_SQL_MAX - 8);
    check_that(reads(sql, LOOKUP_OF_ONE), "%s", why);
    assert_int_equal(q.text.n, LOOKUP_SQL_MAX);
    sql[LOOKUP_SQL_MAX] = ' ';
    assert_false(reads(sql, LOOKUP_OF_ONE));
    check_text(str_of(why), "it is longer than 64 KiB");

    buf_lit(&many, "SELECT :page");
    for (size_t i = 1; i < LOOKUP_PARAMS_MAX; i++)
        buf_lit(&many, ",:filters");
    buf_add_char(&many, '\0');
    check_that(reads(many.p, LOOKUP_OF_ONE), "%s", why);
    assert_int_equal(q.n, LOOKUP_PARAMS_MAX);
    many.n--;
    buf_lit(&many, ",:page");
    buf_add_char(&many, '\0');
    assert_false(reads(many.p, LOOKUP_OF_ONE));
    check_text(str_of(why), "there are more than 30 names in it");
    buf_release(&many);
}

/* Each beginning of a query in a block of its own size, so that ASan sees a look beyond. */
TEST(no_beginning_leads_beyond_the_end)
{
    static const char whole[] = "WITH a AS (SELECT E'\\'' \"b\" $a$ c $a$ /* /* */ */ -- d\n) "
                                "SELECT :page IS NOT NULL, x::int, y:=2, $$z$$, :filters";

    for (size_t n = 0; n < sizeof whole; n++) {
        char *part = mem_copy(whole, n);
        char *exact = n ? mem_resize(part, n) : part;

        lookup_sql_release(&q);
        lookup_sql_read(&q, (struct str){ exact, n }, LOOKUP_OF_ONE, why);
        mem_free(exact);
    }
    check_text(str_of(why), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_becomes_a_number),
        cmocka_unit_test(each_place_has_a_number_and_a_type_of_its_own),
        cmocka_unit_test(where_the_database_could_not_tell_there_is_a_type),
        cmocka_unit_test(what_only_looks_like_a_name_stays),
        cmocka_unit_test(behind_what_only_looks_like_a_name_one_is_found),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(a_long_name_is_told_up_to_a_whole_character),
        cmocka_unit_test(there_are_limits),
        cmocka_unit_test(no_beginning_leads_beyond_the_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    lookup_sql_release(&q);
    return failed;
}
