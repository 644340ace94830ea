#include "check.h"

#include "chat/event_bytes.h"

static const struct event all[] = {
    { .type = EVENT_START, .text = STR_INIT("session-1") },
    { .type = EVENT_START },
    { .type = EVENT_START, .text = STR_INIT("s"), .stands_in = true },
    { .type = EVENT_DELTA, .text = STR_INIT("\xe4\xbd\xa0\xe5\xa5\xbd") },
    { .type = EVENT_DELTA, .text = { "a\0b", 3 } },
    { .type = EVENT_REASONING, .text = STR_INIT("hm") },
    { .type = EVENT_TOOL_CALL,
      .text = STR_INIT("{\"a\":"),
      .tool = { .index = 3, .id = STR_INIT("call_1"), .name = STR_INIT("look") } },
    { .type = EVENT_TOOL_CALL, .text = STR_INIT("1}"), .tool = { .index = UINT64_MAX } },
    { .type = EVENT_TOOL_CALL,
      .text = STR_INIT("{}"),
      .tool = { .index = 3, .id = STR_INIT("c"), .name = STR_INIT("now"), .is_ours = true } },
    { .type = EVENT_TOOL_RESULT,
      .text = STR_INIT("ten o'clock"),
      .tool = { .index = 3, .id = STR_INIT("c"), .is_ours = true } },
    { .type = EVENT_TOOL_RESULT,
      .text = STR_INIT(""),
      .tool = { .index = UINT64_MAX, .is_ours = true, .failed = true } },
    { .type = EVENT_ROUND },
    { .type = EVENT_CITATION,
      .citation = { STR_INIT("7"), STR_INIT("t"), STR_INIT("http://x/"), STR_INIT("words") } },
    { .type = EVENT_CITATION },
    { .type = EVENT_USAGE, .usage = { 127, 128 } },
    { .type = EVENT_USAGE, .usage = { UINT64_MAX, 1ull << 63 } },
    { .type = EVENT_FINISH, .finish = FINISH_STOP },
    { .type = EVENT_FINISH, .finish = FINISH_LENGTH },
    { .type = EVENT_FINISH, .finish = FINISH_TOOL_CALLS },
    { .type = EVENT_FINISH, .finish = FINISH_CONTENT_FILTER },
#define X(id, name, http, elsewhere, again, breaks, end, text)                                     \
    { .type = EVENT_ERROR, .fault = FAULT_##id },
    FAULTS(X)
#undef X
};

static void check_event(const struct event *got, const struct event *want)
{
    assert_int_equal(got->type, want->type);
    check_same(got->text, want->text);
    assert_int_equal(got->stands_in, want->stands_in);
    check_same(got->tool.id, want->tool.id);
    check_same(got->tool.name, want->tool.name);
    assert_true(got->tool.index == want->tool.index);
    assert_int_equal(got->tool.is_ours, want->tool.is_ours);
    assert_int_equal(got->tool.failed, want->tool.failed);
    check_same(got->citation.id, want->citation.id);
    check_same(got->citation.title, want->citation.title);
    check_same(got->citation.url, want->citation.url);
    check_same(got->citation.text, want->citation.text);
    assert_true(got->usage.prompt == want->usage.prompt);
    assert_true(got->usage.completion == want->usage.completion);
    assert_int_equal(got->finish, want->finish);
    assert_int_equal(got->fault, want->fault);
}

static struct buf piece_of_all(void)
{
    struct buf piece = BUF(1 << 16);

    for (size_t i = 0; i < COUNT(all); i++)
        event_bytes_add(&piece, &all[i]);
    return piece;
}

TEST(every_event_comes_back_as_it_was)
{
    struct buf         piece = piece_of_all();
    struct event_bytes b = event_bytes_of(buf_str(&piece));
    struct event       ev;

    for (size_t i = 0; i < COUNT(all); i++) {
        assert_true(event_bytes_next(&b, &ev));
        check_event(&ev, &all[i]);
    }
    assert_false(event_bytes_next(&b, &ev));
    assert_false(b.is_bad);
    buf_release(&piece);
}

/* What is kept in databases must be readable by every later version. */
TEST(the_bytes_are_the_ones_that_were_agreed_on)
{
    struct buf piece = BUF(1 << 16);

    event_bytes_add(&piece, &(struct event){ .type = EVENT_DELTA, .text = STR("ab") });
    event_bytes_add(&piece, &(struct event){ .type = EVENT_USAGE, .usage = { 5, 300 } });
    event_bytes_add(&piece, &(struct event){ .type = EVENT_TOOL_CALL,
                                             .text = STR("{}"),
                                             .tool = { 1, STR("i"), STR("n") } });
    event_bytes_add(&piece, &(struct event){ .type = EVENT_FINISH, .finish = FINISH_LENGTH });
    event_bytes_add(&piece, &(struct event){ .type = EVENT_ERROR, .fault = FAULT_CUT });
    check_buf(&piece, "\1"
                      "D\2ab"
                      "U\5\xac\2"
                      "T\1\1i\1n\2{}"
                      "Fl"
                      "E\3cut");
    buf_release(&piece);
}

TEST(an_empty_piece_has_no_events)
{
    static const struct str rows[] = { STR_INIT(""), STR_INIT("\1") };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct event_bytes b = event_bytes_of(rows[i]);
        struct event       ev;

        assert_false(event_bytes_next(&b, &ev));
        assert_false(b.is_bad);
    }
}

TEST(garbage_is_refused)
{
    static const struct str rows[] = {
        STR_INIT("\2D\1a"),                   /* a version we do not know       */
        STR_INIT("D\1a"),
        STR_INIT("\1X"),
        { "\1\0", 2 },
        STR_INIT("\1D"),
        STR_INIT("\1D\2a"),
        STR_INIT("\1D\xff\xff\xff\xff\xff\xff\xff\xff\xff\1a"),
        { "\1D\x81\0a", 5 },                  /* a number with a group of nothing */
        STR_INIT("\1U\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\2"),
        STR_INIT("\1U\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
        STR_INIT("\1Fx"),
        STR_INIT("\1F"),
        STR_INIT("\1E\4nono"),
        { "\1E\0", 3 },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct event_bytes b = event_bytes_of(rows[i]);
        struct event       ev;

        check_that(!event_bytes_next(&b, &ev) && b.is_bad, "row %zu", i);
        check_that(!event_bytes_next(&b, &ev) && b.is_bad, "row %zu, again", i);
    }
}

/* Each prefix is read up to its last whole event, and never beyond its end. */
TEST(a_piece_that_was_cut_gives_its_whole_events)
{
    struct buf piece = piece_of_all();
    size_t     last = 0;

    for (size_t n = 0; n <= piece.n; n++) {
        char              *copy = mem_resize(NULL, n + !n);
        struct event_bytes b;
        struct event       ev;
        size_t             events = 0;

        memcpy(copy, piece.p, n);
        b = event_bytes_of((struct str){ copy, n });
        for (; event_bytes_next(&b, &ev); events++)
            check_event(&ev, &all[events]);
        check_that(events == last || events == last + 1, "%zu of %zu bytes", n, piece.n);
        last = events;
        mem_free(copy);
    }
    assert_int_equal(last, COUNT(all));
    buf_release(&piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_comes_back_as_it_was),
        cmocka_unit_test(the_bytes_are_the_ones_that_were_agreed_on),
        cmocka_unit_test(an_empty_piece_has_no_events),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_piece_that_was_cut_gives_its_whole_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
