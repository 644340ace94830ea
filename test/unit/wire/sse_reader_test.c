/* sse_reader_test.c - the same events, however the bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/sse_reader.h"

#include <stdio.h>
#include <string.h>

/* Every record as "name|data|status;" on one line. */
static void write_down(void *ctx, const struct sse_record *record)
{
    struct buf *tape = ctx;

    buf_add(tape, record->name);
    buf_lit(tape, "|");
    buf_add(tape, record->data);
    buf_addf(tape, "|%d;", record->status);
}

static void expect(struct str wire, bool per_line, size_t first, size_t piece, const char *wanted)
{
    struct sse_reader r;
    struct buf        tape = BUF(1 << 16);
    size_t            at = 0, n = first;

    sse_reader_init(&r, per_line, 1 << 16, write_down, &tape);
    for (; at < wire.n; at += n, n = piece) {
        char copy[512];                       /* so that ASan sees a borrowed byte too long kept */

        n = n > wire.n - at ? wire.n - at : n;
        memcpy(copy, wire.p + at, n);
        assert_int_equal(sse_reader_feed(&r, (struct str){ copy, n }), 0);
        memset(copy, 'X', n);
    }
    sse_reader_end(&r);
    buf_add_char(&tape, '\0');
    assert_string_equal(tape.p, wanted);
    buf_release(&tape);
    sse_reader_release(&r);
}

static void expect_at_every_cut(struct str wire, bool per_line, const char *wanted)
{
    for (size_t first = 1; first <= wire.n; first++) {
        expect(wire, per_line, first, wire.n, wanted);
        expect(wire, per_line, first, 1, wanted);
        expect(wire, per_line, first, 3, wanted);
    }
}

static void streams_are_read(void **state)
{
    static const struct {
        struct str  wire;
        const char *wanted;
    } rows[] = {
        { STR_INIT("data: a\n\ndata: b\n\n"), "|a|0;|b|0;" },
        { STR_INIT("data:a\r\n\r\ndata:b\r\rdata:c\n\r\n"), "|a|0;|b|0;|c|0;" },
        { STR_INIT("\xef\xbb\xbf"
                   "data: bom\n\n"),
          "|bom|0;" },
        { STR_INIT("event: message\nid: 7\nretry: 5\ndata: x\n\ndata: y\n\n"),
          "message|x|0;|y|0;" },
        { STR_INIT("data: one\ndata: two\ndata:\ndata:  three\n\n"), "|one\ntwo\n\n three|0;" },
        { STR_INIT("data\n\n"), "||0;" },
        { STR_INIT(": a comment\n\n:\nevent: lonely\n\ndata: z\n\n"), "|z|0;" },
        { STR_INIT("data: no end"), "|no end|0;" },
        { STR_INIT("data: half\ndata: an event"), "|half\nan event|0;" },
        { STR_INIT("nonsense\nfoo: bar\ndata: k\n\n"), "|k|0;" },
        { STR_INIT("error: {\"m\":1}\n\n"), "error|{\"m\":1}|0;" },
        { STR_INIT("id:1\nevent:error\n:HTTP_STATUS/400\ndata:{}\n"), "error|{}|400;" },
        { STR_INIT(":HTTP_STATUS/x\n:HTTP_STATUS/1000\ndata:a\n\n"), "|a|0;" },
        { STR_INIT("data: \xe4\xbd\xa0\xf0\x9f\x98\x80\n\n"), "|\xe4\xbd\xa0\xf0\x9f\x98\x80|0;" },
        { STR_INIT("event: a-name-that-is-longer-than-anybody-needs\ndata: 1\n\n"),
          "a-name-that-is-longer-than-anybo|1|0;" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_at_every_cut(rows[i].wire, false, rows[i].wanted);
}

static void per_line_every_data_line_is_an_event(void **state)
{
    (void)state;
    expect_at_every_cut(STR("id:1\nevent:result\n:HTTP_STATUS/200\ndata:{1}\n"
                            "id:2\nevent:result\n:HTTP_STATUS/200\ndata:{2}\n\n\ndata:{3}\n"),
                        true, "result|{1}|200;result|{2}|200;|{3}|0;");
}

static void too_much_is_told(void **state)
{
    static const char *const wires[] = { "data: 0123456789\n\n", "data: 01234\ndata: 56789\n\n" };

    (void)state;
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++) {
        struct sse_reader r;
        struct buf        tape = BUF(100);
        int               rc = 0;

        sse_reader_init(&r, false, 12, write_down, &tape);
        for (const char *p = wires[i]; *p && rc == 0; p++)
            rc = sse_reader_feed(&r, (struct str){ p, 1 });
        assert_int_equal(rc, i == 0 ? -1 : 0);
        sse_reader_release(&r);
        buf_release(&tape);
    }
}

static void write_field(void *ctx, struct str name, struct str value)
{
    buf_addf(ctx, "%.*s=%.*s;", STR_ARG(name), STR_ARG(value));
}

static void other_fields_are_handed_on(void **state)
{
    struct str        wire = STR("id: 7\ndata: a\nretry:50\n\nid\n: comment\ndata: b\n\n");
    struct sse_reader r;

    (void)state;
    for (size_t cut = 0; cut <= wire.n; cut++) {
        struct buf tape = BUF(1 << 16);

        sse_reader_init(&r, false, 1 << 16, write_down, &tape);
        r.on_field = write_field;
        sse_reader_feed(&r, (struct str){ wire.p, cut });
        sse_reader_feed(&r, str_from(wire, cut));
        buf_add_char(&tape, '\0');
        assert_string_equal(tape.p, "id=7;retry=50;|a|0;id=;|b|0;");
        buf_release(&tape);
        sse_reader_release(&r);
    }
}

static void of_what_is_too_large_the_beginning_is_kept(void **state)
{
    struct buf        tape = BUF(1 << 16);
    struct sse_reader r;

    (void)state;
    sse_reader_init(&r, false, 16, write_down, &tape);
    assert_int_equal(sse_reader_feed(&r, STR("data: 012345")), 0);
    assert_int_equal(sse_reader_feed(&r, STR("6789 and more")), -1);
    assert_true(str_eq(str_trim(sse_reader_begun(&r)), STR("012345")));
    assert_int_equal(tape.n, 0);
    sse_reader_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_read),
        cmocka_unit_test(per_line_every_data_line_is_an_event),
        cmocka_unit_test(too_much_is_told),
        cmocka_unit_test(other_fields_are_handed_on),
        cmocka_unit_test(of_what_is_too_large_the_beginning_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
