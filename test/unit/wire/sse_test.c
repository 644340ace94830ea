#include "check.h"

#include "wire/sse.h"

TEST(one_call_is_one_event_with_a_line_for_each_line)
{
    static const struct {
        struct str text, data, comment;
    } rows[] = {
        { STR_INIT("abc"), STR_INIT("data: abc\n\n"), STR_INIT(": abc\n\n") },
        { STR_INIT(""), STR_INIT("data: \n\n"), STR_INIT(": \n\n") },
        { { NULL, 0 }, STR_INIT("data: \n\n"), STR_INIT(": \n\n") },
        { STR_INIT("a\nb"), STR_INIT("data: a\ndata: b\n\n"), STR_INIT(": a\n: b\n\n") },
        { STR_INIT("a\rb"), STR_INIT("data: a\ndata: b\n\n"), STR_INIT(": a\n: b\n\n") },
        { STR_INIT("a\r\nb"), STR_INIT("data: a\ndata: b\n\n"), STR_INIT(": a\n: b\n\n") },
        { STR_INIT("a\n\rb"), STR_INIT("data: a\ndata: \ndata: b\n\n"),
          STR_INIT(": a\n: \n: b\n\n") },
        { STR_INIT("a\n"), STR_INIT("data: a\ndata: \n\n"), STR_INIT(": a\n: \n\n") },
        { STR_INIT("a\r"), STR_INIT("data: a\ndata: \n\n"), STR_INIT(": a\n: \n\n") },
        { STR_INIT("a\r\n"), STR_INIT("data: a\ndata: \n\n"), STR_INIT(": a\n: \n\n") },
        { STR_INIT("\n"), STR_INIT("data: \ndata: \n\n"), STR_INIT(": \n: \n\n") },
        { STR_INIT("\r\r\n\n"), STR_INIT("data: \ndata: \ndata: \ndata: \n\n"),
          STR_INIT(": \n: \n: \n: \n\n") },
        { STR_INIT(" a: b"), STR_INIT("data:  a: b\n\n"), STR_INIT(":  a: b\n\n") },
        { STR_INIT("a\0b"), STR_INIT("data: a\0b\n\n"), STR_INIT(": a\0b\n\n") },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf b = BUF(1000);

        sse_add_data(&b, rows[i].text);
        check_same(buf_str(&b), rows[i].data);
        buf_clear(&b);
        sse_add_comment(&b, rows[i].text);
        check_same(buf_str(&b), rows[i].comment);
        buf_release(&b);
    }
}

/* A reader as the WHATWG wrote it: events, with the data of each joined by LF. Anything
 * but data lines and comments is an intrusion. */
static size_t read_events(struct str stream, struct buf *data)
{
    size_t events = 0;
    bool   has_data = false;

    while (stream.n) {
        size_t     n = strcspn(stream.p, "\r\n");
        struct str line = { stream.p, n };

        n += stream.p[n] == '\r' && stream.p[n + 1] == '\n' ? 2 : 1;
        stream = str_from(stream, n);
        if (line.n == 0) {
            events += has_data;
            has_data = false;
        } else if (str_starts(line, STR("data: "))) {
            if (has_data)
                buf_lit(data, "\n");
            buf_add(data, str_from(line, 6));
            has_data = true;
        } else {
            assert_true(str_starts(line, STR(":")));
        }
    }
    assert_false(has_data);
    return events;
}

/* All texts of up to seven characters out of those that could break out. */
TEST(no_text_can_begin_an_event_of_its_own)
{
    static const char letters[] = "\n\rd:x ";
    enum { LETTERS = sizeof letters - 1, LONGEST = 7 };
    size_t texts = 1;

    for (int n = 0; n <= LONGEST; n++, texts *= LETTERS)
        for (size_t k = 0; k < texts; k++) {
            struct buf b = BUF(1000), data = BUF(1000), want = BUF(1000);
            char       text[LONGEST];
            size_t     left = k;

            for (int i = 0; i < n; i++, left /= LETTERS)
                text[i] = letters[left % LETTERS];
            for (int i = 0; i < n; i++)
                if (text[i] != '\r')
                    buf_add_char(&want, text[i]);
                else if (i + 1 == n || text[i + 1] != '\n')
                    buf_add_char(&want, '\n');
            sse_add_data(&b, (struct str){ text, (size_t)n });
            sse_add_comment(&b, (struct str){ text, (size_t)n });
            buf_add_char(&b, '\0');
            b.n--;
            assert_int_equal(read_events(buf_str(&b), &data), 1);
            check_same(buf_str(&data), buf_str(&want));
            buf_release(&b);
            buf_release(&data);
            buf_release(&want);
        }
}

TEST(events_stand_one_after_the_other)
{
    struct buf b = BUF(1000);

    sse_add_data(&b, STR("a"));
    sse_add_comment(&b, STR("beat"));
    buf_lit(&b, SSE_DATA "{}" SSE_END);
    check_buf(&b, "data: a\n\n: beat\n\ndata: {}\n\n");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_is_one_event_with_a_line_for_each_line),
        cmocka_unit_test(no_text_can_begin_an_event_of_its_own),
        cmocka_unit_test(events_stand_one_after_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
