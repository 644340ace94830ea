#include "check.h"

/* Reads what must be JSON; free it with json_free(). */
static struct json_doc *good(struct str text)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read(text, &why);

    if (!doc)
        fail_msg("%s: %s", check_shown(text), why);
    return doc;
}

static void check_bad(struct str text, const char *part_of_why)
{
    const char      *why = NULL;
    struct json_doc *doc = json_read(text, &why);

    if (doc)
        fail_msg("%s was read", check_shown(text));
    assert_non_null(why);
    check_that(strstr(why, part_of_why), "%s: \"%s\" says nothing of \"%s\"", check_shown(text),
               why, part_of_why);
}

static void nested(struct buf *b, size_t depth, const char *open, const char *inside, char close)
{
    buf_clear(b);
    for (size_t i = 0; i < depth; i++)
        buf_add(b, str_of(open));
    buf_add(b, str_of(inside));
    for (size_t i = 0; i < depth; i++)
        buf_add_char(b, close);
}

TEST(every_type_is_known)
{
    struct json_doc *doc =
        good(STR("{\"b\":true,\"n\":1,\"s\":\"x\",\"a\":[],\"o\":{},\"z\":null}"));
    static const struct {
        const char    *name;
        enum json_type type;
    } rows[] = {
        { "b", JSON_BOOL },   { "n", JSON_NUMBER }, { "s", JSON_STRING },    { "a", JSON_ARRAY },
        { "o", JSON_OBJECT }, { "z", JSON_NONE },   { "absent", JSON_NONE },
    };

    assert_int_equal(json_type(json_root(doc)), JSON_OBJECT);
    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(json_type(json_get(json_root(doc), rows[i].name)) == rows[i].type, "%s",
                   rows[i].name);
    json_free(doc);
}

TEST(null_and_absent_are_the_same_and_every_reader_takes_them)
{
    struct json_doc *doc = good(STR("{\"z\":null}"));
    struct json_walk w = json_walk(NULL);
    int64_t          n = 7;

    assert_null(json_get(json_root(doc), "z"));
    assert_null(json_get(json_root(doc), "absent"));
    assert_null(json_get(NULL, "x"));
    assert_int_equal(json_type(NULL), JSON_NONE);
    assert_int_equal(json_str(NULL).n, 0);
    assert_false(json_is_true(NULL));
    assert_false(json_int(NULL, &n));
    assert_int_equal(n, 7);
    assert_int_equal(json_count(NULL), 0);
    assert_null(json_walk_next(&w));
    json_free(doc);
    json_free(NULL);
}

TEST(many_members_are_got_at_once_as_one_by_one)
{
    static const char *const texts[] = {
        "{}",
        "[\"a\",1]",
        "7",
        "{\"a\":1,\"bb\":2,\"cc\":3,\"\":4}",
        "{\"cc\":{\"a\":1},\"other\":[{\"bb\":2}],\"a\":null,\"ab\":0}",
        "{\"a\":1,\"a\":2,\"bb\":null,\"bb\":3}",
    };
    static const struct str names[] = { STR_INIT("a"), STR_INIT("bb"), STR_INIT("cc"),
                                        STR_INIT("absent") };
    const struct json      *values[COUNT(names)];
    const char             *why;

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct json_doc *doc = json_read_patiently(str_of(texts[i]), &why);

        assert_non_null(doc);
        json_get_all(json_root(doc), names, values, COUNT(names));
        for (size_t k = 0; k < COUNT(names); k++)
            check_that(values[k] == json_get_n(json_root(doc), names[k]), "%s of %s", names[k].p,
                       texts[i]);
        json_free(doc);
    }
    json_get_all(NULL, names, values, COUNT(names));
    for (size_t k = 0; k < COUNT(names); k++)
        assert_null(values[k]);
}

TEST(readers_give_nothing_of_another_type)
{
    struct json_doc   *doc = good(STR("{\"s\":\"true\",\"n\":1,\"o\":{\"x\":1},\"a\":[\"x\"]}"));
    const struct json *s = json_get(json_root(doc), "s"), *n = json_get(json_root(doc), "n"),
                      *o = json_get(json_root(doc), "o"), *a = json_get(json_root(doc), "a");
    struct json_walk w = json_walk(o);
    int64_t          v;
    bool             truth = json_is_true(s) || json_is_true(n);
    bool             whole = json_int(s, &v) || json_int(a, &v);
    bool             walks = json_walk_next(&w) || json_get(a, "x") || json_get(s, "x");
    size_t           length = json_str(n).n + json_str(o).n + json_str(a).n;
    size_t           items = json_count(o) + json_count(s);

    json_free(doc); /* before anything can fail       */
    assert_false(truth || whole || walks);
    assert_int_equal(items, 0);
    assert_int_equal(length, 0);
}

TEST(arrays_are_walked_in_order_with_their_nulls)
{
    struct json_doc   *doc = good(STR("[1,[2,2],null,{\"a\":[9]},4]"));
    struct json_walk   w = json_walk(json_root(doc));
    const struct json *v;
    enum json_type     types[] = { JSON_NUMBER, JSON_ARRAY, JSON_NONE, JSON_OBJECT, JSON_NUMBER };
    size_t             n = 0;

    assert_int_equal(json_count(json_root(doc)), 5);
    for (; (v = json_walk_next(&w)); n++)
        assert_int_equal(json_type(v), types[n]);
    assert_int_equal(n, 5);
    assert_null(json_walk_next(&w));
    json_free(doc);
    doc = good(STR("[]"));
    w = json_walk(json_root(doc));
    assert_null(json_walk_next(&w));
    json_free(doc);
}

TEST(whole_numbers_are_whole_however_they_are_written)
{
    static const struct {
        struct str text;
        bool       good;
        int64_t    value;
    } rows[] = {
        { STR_INIT("16"), true, 16 },
        { STR_INIT("16.0"), true, 16 },
        { STR_INIT("1.6e1"), true, 16 },
        { STR_INIT("160E-1"), true, 16 },
        { STR_INIT("0"), true, 0 },
        { STR_INIT("-0"), true, 0 },
        { STR_INIT("-7"), true, -7 },
        { STR_INIT("9007199254740991"), true, 9007199254740991 },
        { STR_INIT("-9007199254740991"), true, -9007199254740991 },
        { STR_INIT("9007199254740993"), false, 0 },
        { STR_INIT("-9007199254740993"), false, 0 },
        { STR_INIT("18446744073709551615"), false, 0 },
        { STR_INIT("99999999999999999999999"), false, 0 },
        { STR_INIT("1e308"), false, 0 },
        { STR_INIT("16.5"), false, 0 },
        { STR_INIT("1e-1"), false, 0 },
        { STR_INIT("true"), false, 0 },
        { STR_INIT("\"16\""), false, 0 },
        { STR_INIT("[16]"), false, 0 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json_doc *doc = good(rows[i].text);
        int64_t          v = 0;

        check_that(json_int(json_root(doc), &v) == rows[i].good, "%s", rows[i].text.p);
        if (rows[i].good)
            check_that(v == rows[i].value, "%s: %lld", rows[i].text.p, (long long)v);
        json_free(doc);
    }
}

TEST(any_number_is_a_number_and_nothing_else_is)
{
    struct json_doc    *doc = good(STR("[0.25,-3,18446744073709551615,1e300,\"1\",true,[1],null]"));
    static const double want[] = { 0.25, -3, 18446744073709551615.0, 1e300 };
    struct json_walk    w = json_walk(json_root(doc));
    double              d = 7;

    for (size_t i = 0; i < COUNT(want); i++)
        check_that(json_number(json_walk_next(&w), &d) && d == want[i], "row %zu", i);
    d = 7;
    while (w.left)
        check_that(!json_number(json_walk_next(&w), &d) && d == 7, "%zu left", w.left);
    assert_false(json_number(NULL, &d));
    json_free(doc);
}

TEST(what_rfc_8259_does_not_allow_is_refused)
{
    static const struct str rows[] = {
        STR_INIT(""),
        { NULL, 0 },
        STR_INIT(" \n"),
        STR_INIT("{"),
        STR_INIT("[1,]"),
        STR_INIT("{\"a\":1,}"),
        STR_INIT("{a:1}"),
        STR_INIT("{'a':1}"),
        STR_INIT("[1] x"),
        STR_INIT("[1][2]"),
        STR_INIT("[1]\0"),
        STR_INIT("\xef\xbb\xbf{}"),
        STR_INIT("// x\n{}"),
        STR_INIT("/* x */{}"),
        STR_INIT("01"),
        STR_INIT("+1"),
        STR_INIT(".5"),
        STR_INIT("1."),
        STR_INIT("0x10"),
        STR_INIT("NaN"),
        STR_INIT("Infinity"),
        STR_INIT("-Infinity"),
        STR_INIT("nul"),
        STR_INIT("True"),
        STR_INIT("]"),
        STR_INIT("[}"),
        STR_INIT("\"a"),
        STR_INIT("\"\\x41\""),
        STR_INIT("\"\\u12\""),
        STR_INIT("\"\\u{41}\""),
        STR_INIT("\"a\nb\""),
        STR_INIT("\"a\tb\""),
        STR_INIT("\"a\0b\""),
        STR_INIT("\"\x1f\""),
        STR_INIT("\"\xff\""),
        STR_INIT("\"\xc3\""),
        STR_INIT("\"\xc0\xaf\""),
        STR_INIT("\"\xed\xa0\x80\""),
        STR_INIT("\"\xf4\x90\x80\x80\""),
        STR_INIT("\"\\\""),
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_bad(rows[i], "");
    check_bad(STR(""), "empty");
}

TEST(numbers_that_no_double_holds_are_refused)
{
    check_bad(STR("1e999"), "");
    check_bad(STR("[-1e999]"), "");
    check_bad(STR("{\"temperature\":1e400}"), "");
    json_free(good(STR("1e-999")));
}

TEST(half_of_a_surrogate_pair_is_refused)
{
    struct json_doc *doc = good(STR("\"\\ud83d\\ude00\""));

    check_str(json_str(json_root(doc)), "\xf0\x9f\x98\x80");
    json_free(doc);
    check_bad(STR("\"\\ud83d\""), "");
    check_bad(STR("\"\\ude00\""), "");
    check_bad(STR("\"\\ude00\\ud83d\""), "");
    check_bad(STR("\"\\ud83d\\u0041\""), "");
    check_bad(STR("\"\\ud83dx\""), "");
    check_bad(STR("{\"\\udc00\":1}"), "");
}

TEST(the_character_zero_is_refused_wherever_it_stands)
{
    check_bad(STR("\"\\u0000\""), "U+0000");
    check_bad(STR("[1,[\"a\\u0000b\"]]"), "U+0000");
    check_bad(STR("{\"a\":{\"b\":\"\\u0000\"}}"), "U+0000");
    check_bad(STR("{\"a\\u0000\":1}"), "U+0000");
}

TEST(a_member_given_twice_is_refused_wherever_it_stands)
{
    check_bad(STR("{\"a\":1,\"b\":2,\"a\":1}"), "twice");
    check_bad(STR("{\"a\":1,\"\\u0061\":1}"), "twice");
    check_bad(STR("[0,{\"x\":{\"a\":1,\"a\":2}}]"), "twice");
    check_bad(STR("{\"\":1,\"\":2}"), "twice");
    json_free(good(STR("{\"a\":{\"a\":1},\"A\":1,\"b\":[{\"a\":1},{\"a\":1}]}")));
}

TEST(a_thousand_members_are_enough)
{
    struct buf b = BUF(100000);

    for (int n = 1000; n <= 1001; n++) {
        buf_clear(&b);
        for (int i = 0; i < n; i++)
            buf_addf(&b, "%c\"m%d\":[%d,{}]", i ? ',' : '{', i, i);
        buf_lit(&b, "}");
        if (n == 1000)
            json_free(good(buf_str(&b)));
        else
            check_bad(buf_str(&b), "1000");
    }
    buf_release(&b);
}

TEST(many_large_objects_are_too_many)
{
    struct buf b = BUF(1 << 20);

    buf_lit(&b, "[");
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < 1000; i++)
            buf_addf(&b, "%s\"m%d\":0", i ? "," : k ? ",{" : "{", i);
        buf_lit(&b, "}");
    }
    buf_lit(&b, "]");
    check_bad(buf_str(&b), "members");
    buf_release(&b);
}

TEST(sixty_four_levels_are_deep_enough)
{
    struct buf b = BUF(1 << 20);

    nested(&b, 64, "[", "", ']');
    json_free(good(buf_str(&b)));
    nested(&b, 64, "{\"a\":", "1", '}');
    json_free(good(buf_str(&b)));
    nested(&b, 65, "[", "", ']');
    check_bad(buf_str(&b), "64");
    nested(&b, 65, "{\"a\":", "1", '}');
    check_bad(buf_str(&b), "64");
    nested(&b, 100000, "[", "", ']');
    check_bad(buf_str(&b), "64");
    buf_clear(&b);
    for (int i = 0; i < 100; i++)
        buf_lit(&b, "[");
    check_bad(buf_str(&b), "");               /* short, and no JSON in the first place */
    buf_release(&b);
}

TEST(brackets_in_strings_and_side_by_side_are_not_depth)
{
    struct buf b = BUF(10000);

    buf_lit(&b, "[\"");
    for (int i = 0; i < 500; i++)
        buf_lit(&b, "[{\\\"\\\\");
    buf_lit(&b, "\"");
    for (int i = 0; i < 500; i++)
        buf_lit(&b, ",[],{}");
    buf_lit(&b, "]");
    json_free(good(buf_str(&b)));
    buf_release(&b);
}

TEST(escapes_are_read)
{
    struct json_doc *doc = good(STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u4e2d\\u001f\""));

    check_str(json_str(json_root(doc)), "\"\\/\b\f\n\r\tA\xc3\xa9\xe4\xb8\xad\x1f");
    json_free(doc);
}

TEST(escapes_are_written)
{
    struct buf b = BUF(1000);

    json_add_str(&b, STR("a\"b\\c/\b\f\n\r\t\x01\x0b\x1f\x7f\xc3\xa9\xe4\xb8\xad"));
    check_buf(&b,
              "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u000b\\u001f\\u007f\xc3\xa9\xe4\xb8\xad\"");
    buf_clear(&b);
    json_add_str(&b, (struct str){ NULL, 0 });
    json_add_text(&b, STR("x\n"));
    json_add_text(&b, STR(""));
    check_buf(&b, "\"\"x\\n");
    buf_release(&b);
}

TEST(ascii_comes_out_whatever_bytes_go_in)
{
    struct buf b = BUF(10000);
    char       all[256];

    json_add_ascii(&b, STR("a\0\n\"\x7f\xe9\xff~"));
    check_buf(&b, "\"a\\u0000\\n\\\"\\u007f\\u00e9\\u00ff~\"");
    buf_clear(&b);
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    json_add_ascii(&b, (struct str){ all, 256 });
    for (size_t i = 0; i < b.n; i++)
        assert_in_range(b.p[i], 0x20, 0x7e);
    buf_release(&b);
}

static void check_round_trip(struct str text)
{
    struct buf       b = BUF(1 << 16);
    struct json_doc *doc;

    json_add_str(&b, text);
    doc = good(buf_str(&b));
    check_same(json_str(json_root(doc)), text);
    json_free(doc);
    buf_release(&b);
}

TEST(every_text_survives_the_round_trip)
{
    char all[127];

    for (int i = 1; i < 0x80; i++) {
        char one[3] = { 'a', (char)i, 'z' };

        check_round_trip((struct str){ one, 3 });
        check_round_trip((struct str){ one + 1, 1 });
        all[i - 1] = (char)i;
    }
    check_round_trip((struct str){ all, 127 });
    check_round_trip(STR(""));
    check_round_trip(
        STR("\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    check_round_trip(
        STR("\xe4\xbd\xa0\xe5\xa5\xbd, \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb \"q\"\n"));
    check_round_trip(STR("\xe2\x80\xa8\xe2\x80\xa9</script>"));
}

TEST(documents_read_at_the_same_time_stay_apart)
{
    struct json_doc *docs[4];
    struct buf       big = BUF(1 << 20);

    buf_lit(&big, "[0");
    for (int i = 1; i < 100000; i++)
        buf_addf(&big, ",%d", i);
    buf_lit(&big, "]");
    for (int round = 0; round < 3; round++) {
        int64_t n;

        docs[0] = good(STR("[\"first\"]"));
        docs[1] = good(buf_str(&big));
        docs[2] = good(STR("[\"third\", 3]"));
        json_free(docs[round]);
        docs[3] = good(STR("{\"fourth\":4}"));
        assert_true(json_int(json_get(json_root(docs[3]), "fourth"), &n) && n == 4);
        for (int i = 0; i < 3; i++)
            if (i != round)
                assert_int_equal(json_count(json_root(docs[i])), i == 0 ? 1 : i == 1 ? 100000 : 2);
        for (int i = 0; i < 4; i++)
            if (i != round)
                json_free(docs[i]);
    }
    buf_release(&big);
}

TEST(one_small_document_after_the_other_costs_no_allocation)
{
    const char *why;
    uint64_t    before = mem_allocations();

    for (int i = 0; i < 10; i++) {
        json_free(good(STR("{\"a\":[1,2,{\"b\":\"text\"}]}")));
        assert_null(json_read(STR("{\"a\":1,\"a\":2}"), &why));
        assert_null(json_read(STR("{\"a\":"), &why));
    }
    assert_int_equal(mem_allocations(), before);
}

TEST(reading_and_freeing_gives_all_memory_back)
{
    size_t      before = mem_live_bytes();
    const char *why;

    json_free(good(STR("{\"a\":[1,2,{\"b\":\"text\"}]}")));
    assert_int_equal(mem_live_bytes(), before);
    assert_null(json_read(STR("{\"a\":1,\"a\":2}"), &why));
    assert_null(json_read(STR("{\"a\":[1,2"), &why));
    assert_int_equal(mem_live_bytes(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_known),
        cmocka_unit_test(null_and_absent_are_the_same_and_every_reader_takes_them),
        cmocka_unit_test(many_members_are_got_at_once_as_one_by_one),
        cmocka_unit_test(readers_give_nothing_of_another_type),
        cmocka_unit_test(arrays_are_walked_in_order_with_their_nulls),
        cmocka_unit_test(whole_numbers_are_whole_however_they_are_written),
        cmocka_unit_test(any_number_is_a_number_and_nothing_else_is),
        cmocka_unit_test(what_rfc_8259_does_not_allow_is_refused),
        cmocka_unit_test(numbers_that_no_double_holds_are_refused),
        cmocka_unit_test(half_of_a_surrogate_pair_is_refused),
        cmocka_unit_test(the_character_zero_is_refused_wherever_it_stands),
        cmocka_unit_test(a_member_given_twice_is_refused_wherever_it_stands),
        cmocka_unit_test(a_thousand_members_are_enough),
        cmocka_unit_test(many_large_objects_are_too_many),
        cmocka_unit_test(sixty_four_levels_are_deep_enough),
        cmocka_unit_test(brackets_in_strings_and_side_by_side_are_not_depth),
        cmocka_unit_test(escapes_are_read),
        cmocka_unit_test(escapes_are_written),
        cmocka_unit_test(ascii_comes_out_whatever_bytes_go_in),
        cmocka_unit_test(every_text_survives_the_round_trip),
        cmocka_unit_test(documents_read_at_the_same_time_stay_apart),
        cmocka_unit_test(one_small_document_after_the_other_costs_no_allocation),
        cmocka_unit_test(reading_and_freeing_gives_all_memory_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
