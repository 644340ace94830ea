/* The loop is ours here: a pass reads the notes and runs the deadlines at a moment that
 * the test chooses. */
#include "check.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/note.h"
#include "provider/echo_tokens.h"
#include "provider/provider.h"

#include <ctype.h>

#define TEXT                                                                                       \
    "Hello, \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb end of it"
enum { TOKENS = 11 };

/* Who hears the answer. */
struct listener {
    struct grammar grammar;
    char           said[100]; /* a letter an event              */
    size_t         n, deltas, flushes;
    struct buf     text;
    uint64_t       times[100]; /* of the deltas                  */
    struct usage   usage;
    enum finish    finish;
    struct call   *call;
    size_t         pause_at; /* the flush that pauses; 0: none */
    bool           silent, ended, unflushed;
};

static const uint64_t start_time = 100 * CLOCK_S;
static uint64_t       now;

static void put(void *ctx, const struct event *ev)
{
    struct listener *l = ctx;

    assert_false(l->silent);
    assert_true(grammar_allows(&l->grammar, ev->type));
    l->said[l->n++] = (char)toupper((unsigned char)event_name(ev->type)[0]);
    l->unflushed = true;
    if (ev->type == EVENT_DELTA) {
        assert_true(ev->text.n > 0);
        buf_add(&l->text, ev->text);
        l->times[l->deltas++] = now;
    } else if (ev->type == EVENT_USAGE) {
        l->usage = ev->usage;
    } else if (ev->type == EVENT_FINISH) {
        l->finish = ev->finish;
        l->ended = true;
    }
}

static void flush(void *ctx)
{
    struct listener *l = ctx;

    assert_true(l->unflushed);
    l->unflushed = false;
    if (++l->flushes == l->pause_at && !l->ended) {
        echo_provider.pause(l->call);
        l->silent = true;
    }
}

static void pass(uint64_t at)
{
    now = at;
    clock_fake(now);
    notes_run();
    deadlines_run(now);
}

/* ---- a question, a provider and a listener ----------------------------------------------- */

struct scene {
    struct provider_settings settings;
    struct provider          provider;
    struct message           messages[3];
    struct question          question;
    struct listener          listener;
};

static void open_scene(struct scene *s, struct str text, uint64_t per_second)
{
    memset(s, 0, sizeof *s);
    s->settings.tokens_per_second = per_second;
    s->provider = (struct provider){ .ops = &echo_provider, .settings = &s->settings };
    s->messages[0] = (struct message){ .role = ROLE_USER, .text = text };
    s->question = (struct question){ .messages = s->messages, .n_messages = 1 };
    s->listener.text = BUF(10000);
    now = start_time;
    clock_fake(now);
}

static void start(struct scene *s)
{
    s->listener.call = echo_provider.start(&s->provider, &s->question, STR("any"),
                                           (struct outlet){ put, flush, &s->listener });
    assert_int_equal(s->listener.n, 0);
}

/* At the end of a test: the call is gone and has left nothing behind. */
static void close_scene(struct scene *s)
{
    assert_false(notes_waiting());
    assert_int_equal(deadlines_next(), UINT64_MAX);
    for (int i = 0; i < 5; i++)
        pass(now + CLOCK_S);
    assert_false(s->listener.unflushed);
    buf_release(&s->listener.text);
}

/* Passes a millisecond apart until the last word or a pause; gives their number. */
static int run(struct scene *s)
{
    int passes = 0;

    for (; !s->listener.ended && !s->listener.silent; passes++) {
        assert_in_range(passes, 0, 100000);
        pass(now + CLOCK_MS);
    }
    return passes;
}

/* ---- what is said -------------------------------------------------------------------------- */

TEST(the_text_comes_back_whole_at_any_pace)
{
    static const uint64_t paces[] = { 0, 1, 3, 50, 1000 };

    for (size_t i = 0; i < COUNT(paces); i++) {
        struct scene s;

        open_scene(&s, STR(TEXT), paces[i]);
        start(&s);
        run(&s);
        check_buf(&s.listener.text, TEXT);
        assert_string_equal(s.listener.said, "SDDDDDDDDDDDUF");
        assert_int_equal(s.listener.finish, FINISH_STOP);
        close_scene(&s);
    }
}

TEST(unpaced_one_token_goes_per_pass)
{
    struct scene s;

    open_scene(&s, STR(TEXT), 0);
    start(&s);
    pass(now);
    assert_string_equal(s.listener.said, "S");
    for (size_t i = 1; i <= TOKENS; i++) {
        assert_false(s.listener.ended);
        pass(now);
        assert_int_equal(s.listener.deltas, i);
        assert_int_equal(s.listener.flushes, i + 1);
    }
    assert_true(s.listener.ended);
    close_scene(&s);
}

TEST(an_empty_text_is_an_empty_answer)
{
    struct scene s;

    open_scene(&s, STR(""), 50);
    start(&s);
    run(&s);
    assert_string_equal(s.listener.said, "SUF");
    assert_int_equal(s.listener.usage.completion, 0);
    assert_int_equal(s.listener.finish, FINISH_STOP);
    close_scene(&s);
}

TEST(the_last_user_text_is_echoed_and_all_texts_are_counted)
{
    struct scene s;

    open_scene(&s, STR("not this"), 0);
    s.messages[1] = (struct message){ .role = ROLE_USER, .text = STR("but this one") };
    s.messages[2] = (struct message){ .role = ROLE_ASSISTANT, .text = STR("nor that") };
    s.question.n_messages = 3;
    start(&s);
    run(&s);
    check_buf(&s.listener.text, "but this one");
    assert_int_equal(s.listener.usage.prompt, 2 + 3 + 2);
    assert_int_equal(s.listener.usage.completion, 3);
    close_scene(&s);
}

TEST(max_tokens_cuts_the_answer_and_says_so)
{
    for (size_t limit = 0; limit <= TOKENS + 1; limit++)
        for (uint64_t pace = 0; pace <= 1000; pace += 1000) {
            size_t       want = limit && limit < TOKENS ? limit : TOKENS;
            struct str   rest = STR(TEXT);
            struct scene s;

            open_scene(&s, rest, pace);
            s.question.max_tokens = limit;
            start(&s);
            run(&s);
            assert_int_equal(s.listener.deltas, want);
            assert_int_equal(s.listener.usage.completion, want);
            assert_int_equal(s.listener.finish, want < TOKENS ? FINISH_LENGTH : FINISH_STOP);
            for (size_t i = 0; i < want; i++)
                rest = str_from(rest, echo_token_length(rest));
            check_same(buf_str(&s.listener.text), ((struct str){ TEXT, sizeof TEXT - 1 - rest.n }));
            close_scene(&s);
        }
}

TEST(two_calls_do_not_mix)
{
    struct scene    s;
    struct listener other = { .text = BUF(1000) };
    struct message  m = { .role = ROLE_USER, .text = STR("one two three") };
    struct question q = { .messages = &m, .n_messages = 1 };

    open_scene(&s, STR(TEXT), 0);
    start(&s);
    echo_provider.start(&s.provider, &q, STR("any"), (struct outlet){ put, flush, &other });
    run(&s);
    assert_true(other.ended);
    check_buf(&s.listener.text, TEXT);
    check_buf(&other.text, "one two three");
    buf_release(&other.text);
    close_scene(&s);
}

/* ---- when it is said ------------------------------------------------------------------------ */

TEST(paced_tokens_keep_their_moments_and_do_not_drift)
{
    static const uint64_t paces[] = { 1, 3, 7, 50, 1000 };

    for (size_t i = 0; i < COUNT(paces); i++) {
        uint64_t     interval = CLOCK_S / paces[i];
        struct scene s;

        open_scene(&s, STR(TEXT), paces[i]);
        start(&s);
        pass(now);
        assert_string_equal(s.listener.said, "S");
        while (!s.listener.ended)
            pass(deadlines_next());
        for (size_t k = 0; k < TOKENS; k++)
            assert_int_equal(s.listener.times[k], start_time + (k + 1) * interval);
        close_scene(&s);
    }
}

TEST(a_loop_that_comes_late_does_not_slow_the_pace)
{
    struct scene s;

    open_scene(&s, STR(TEXT), 50);
    start(&s);
    for (pass(now); !s.listener.ended;)
        pass(now + 7 * CLOCK_MS);
    for (size_t k = 0; k < TOKENS; k++)
        assert_in_range(s.listener.times[k] - start_time, (k + 1) * 20 * CLOCK_MS,
                        (k + 1) * 20 * CLOCK_MS + 7 * CLOCK_MS - 1);
    close_scene(&s);
}

TEST(a_short_delay_is_made_up_for)
{
    struct scene s;

    open_scene(&s, STR(TEXT), 50);
    start(&s);
    pass(now);
    for (int i = 0; i < 5; i++)
        pass(start_time + 100 * CLOCK_MS); /* five are due by now            */
    assert_int_equal(s.listener.deltas, 5);
    pass(start_time + 119 * CLOCK_MS);
    assert_int_equal(s.listener.deltas, 5);
    pass(start_time + 120 * CLOCK_MS);
    assert_int_equal(s.listener.deltas, 6);
    echo_provider.cancel(s.listener.call);
    close_scene(&s);
}

TEST(a_long_delay_is_not_made_up_for)
{
    struct scene s;

    open_scene(&s, STR(TEXT), 50);
    start(&s);
    pass(now);
    for (int i = 0; i < 5; i++)
        pass(start_time + 5 * CLOCK_S);
    assert_int_equal(s.listener.deltas, 1);
    pass(start_time + 5 * CLOCK_S + 20 * CLOCK_MS);
    assert_int_equal(s.listener.deltas, 2);
    echo_provider.cancel(s.listener.call);
    close_scene(&s);
}

TEST(the_first_token_of_a_waiting_call_waits_its_interval)
{
    struct scene s;

    open_scene(&s, STR(TEXT), 50);
    start(&s);
    pass(start_time + 3 * CLOCK_S); /* the loop was busy              */
    assert_string_equal(s.listener.said, "S");
    pass(start_time + 3 * CLOCK_S + 19 * CLOCK_MS);
    assert_int_equal(s.listener.deltas, 0);
    pass(start_time + 3 * CLOCK_S + 20 * CLOCK_MS);
    assert_int_equal(s.listener.deltas, 1);
    echo_provider.cancel(s.listener.call);
    close_scene(&s);
}

/* ---- pause, resume, cancel -------------------------------------------------------------------- */

/* Paused in every flush but the last. */
TEST(a_pause_is_silent_and_loses_nothing)
{
    for (uint64_t pace = 0; pace <= 50; pace += 50)
        for (size_t at = 1; at <= TOKENS; at++) {
            struct scene s;
            size_t       said;

            open_scene(&s, STR(TEXT), pace);
            s.listener.pause_at = at;
            start(&s);
            run(&s);
            assert_true(s.listener.silent);
            for (int i = 0; i < 10; i++)
                pass(now + CLOCK_S);
            echo_provider.resume(s.listener.call);
            s.listener.silent = false;
            said = s.listener.n;
            assert_int_equal(said, at);
            pass(now + (pace ? 20 * CLOCK_MS - 1 : 0));
            assert_int_equal(s.listener.n - said > 0, pace == 0);
            pass(now + (pace ? 1 : 0));
            assert_true(s.listener.n > said);
            run(&s);
            check_buf(&s.listener.text, TEXT);
            close_scene(&s);
        }
}

TEST(a_short_pause_is_not_made_up_for)
{
    struct scene s;

    open_scene(&s, STR(TEXT), 50);
    s.listener.pause_at = 3;
    start(&s);
    run(&s);
    now += 500 * CLOCK_MS;
    pass(now);
    echo_provider.resume(s.listener.call);
    s.listener.silent = false;
    for (uint64_t resumed = now; !s.listener.ended;)
        pass(now < resumed + CLOCK_S ? now + CLOCK_MS : now);
    for (size_t k = 3; k < TOKENS; k++)
        assert_int_equal(s.listener.times[k] - s.listener.times[k - 1], 20 * CLOCK_MS);
    close_scene(&s);
}

TEST(a_call_may_be_paused_before_its_first_word)
{
    for (uint64_t pace = 0; pace <= 50; pace += 50) {
        struct scene s;

        open_scene(&s, STR(TEXT), pace);
        start(&s);
        echo_provider.pause(s.listener.call);
        for (int i = 0; i < 5; i++)
            pass(now + CLOCK_S);
        assert_int_equal(s.listener.n, 0);
        echo_provider.resume(s.listener.call);
        assert_int_equal(s.listener.n, 0);
        run(&s);
        check_buf(&s.listener.text, TEXT);
        close_scene(&s);
    }
}

TEST(nothing_comes_after_a_cancel_at_any_step)
{
    size_t before = mem_live_bytes();

    for (uint64_t pace = 0; pace <= 1000; pace += 1000)
        for (int paused = 0; paused <= 1; paused++)
            for (size_t step = 0; step <= TOKENS; step++) {
                struct scene s;
                size_t       said;

                open_scene(&s, STR(TEXT), pace);
                start(&s);
                for (size_t i = 0; i < step; i++)
                    pass(now + CLOCK_MS);
                assert_false(s.listener.ended);
                said = s.listener.n;
                if (paused)
                    echo_provider.pause(s.listener.call);
                echo_provider.cancel(s.listener.call);
                close_scene(&s);
                assert_int_equal(s.listener.n, said);
                assert_int_equal(mem_live_bytes(), before);
            }
}

/* So that no test depends on memory that the deadlines keep. */
static int warm_up(void **state)
{
    struct deadline d = { .run = NULL };

    (void)state;
    deadline_arm(&d, 1);
    deadline_disarm(&d);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_comes_back_whole_at_any_pace),
        cmocka_unit_test(unpaced_one_token_goes_per_pass),
        cmocka_unit_test(an_empty_text_is_an_empty_answer),
        cmocka_unit_test(the_last_user_text_is_echoed_and_all_texts_are_counted),
        cmocka_unit_test(max_tokens_cuts_the_answer_and_says_so),
        cmocka_unit_test(two_calls_do_not_mix),
        cmocka_unit_test(paced_tokens_keep_their_moments_and_do_not_drift),
        cmocka_unit_test(a_loop_that_comes_late_does_not_slow_the_pace),
        cmocka_unit_test(a_short_delay_is_made_up_for),
        cmocka_unit_test(a_long_delay_is_not_made_up_for),
        cmocka_unit_test(the_first_token_of_a_waiting_call_waits_its_interval),
        cmocka_unit_test(a_pause_is_silent_and_loses_nothing),
        cmocka_unit_test(a_short_pause_is_not_made_up_for),
        cmocka_unit_test(a_call_may_be_paused_before_its_first_word),
        cmocka_unit_test(nothing_comes_after_a_cancel_at_any_step),
    };

    return cmocka_run_group_tests(tests, warm_up, NULL);
}
