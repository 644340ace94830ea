/* tools_test.c - what a turn whose model uses tools promises. All that may happen while they run
 * is tools_steps_test.c's. */
#include "flow/fake_tools.h"
#include "flow/world.h"

#include "check.h"

#include <string.h>

static void begin(const char *script)
{
    world_begin(script, NULL);
    toys_begin();
}

static void end(void)
{
    settle();
    toys_end();
}

static struct turn *ask_with(const char *options)
{
    struct question *q = question_new();

    q->messages = arena_new(&q->arena, sizeof *q->messages);
    q->messages[0] = (struct message){ .role = ROLE_USER, .text = STR("how much?") };
    q->n_messages = 1;
    q->options = arena_str(&q->arena, str_of(options));
    return ask_for(&tape, q);
}

static void play(const char *script, const char *options)
{
    begin(script);
    ask_with(options);
    pass_until_over(PASSES);
}

static void heard(const char *want)
{
    check_text(str_of(toys.heard), want);
}

static void was_asked(size_t nth, const char *messages)
{
    assert_true(nth < toys.n_asked);
    check_text(str_of(toys.asked[nth].messages), messages);
}

static void wish(size_t i, uint64_t index, const char *id, const char *name, const char *arguments)
{
    toys.wishes[i] = (struct wish){ index, id, name, arguments };
}

#define CALL(id, name, arguments)                                                                  \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name                      \
    "\",\"arguments\":\"" arguments "\"}}"
#define SAID(words, calls)                                                                         \
    "assistant:{\"role\":\"assistant\",\"content\":" words ",\"tool_calls\":[" calls "]}\n"
#define DID(id, result)                                                                            \
    "tool:{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"" result "\"}\n"
#define WRONG(message, error)                                                                      \
    "{\"type\":\"error\",\"message\":\"" message "\",\"error\":\"" error "\",\"details\":null}"

/* ---- rounds ------------------------------------------------------------------------------ */

TEST(the_model_hears_what_was_said_and_done)
{
    play("sd0uT|sd1uT|sdf", "");
    heard("sword [0 c0 a {}]u3/2(0 of a)|word [1 c1 b {}]u6/4(1 of b)|word f");
    was_asked(0, "user:how much?\n");
    was_asked(1, "user:how much?\n" SAID("\"word \"", CALL("c0", "a", "{}")) DID("c0", "of a"));
    was_asked(2, "user:how much?\n" SAID("\"word \"", CALL("c0", "a", "{}")) DID("c0", "of a")
                     SAID("\"word \"", CALL("c1", "b", "{}")) DID("c1", "of b"));
    assert_int_equal(one.starts, 3);
    assert_int_equal(tape.finish, FINISH_STOP);
    end();
}

TEST(results_come_in_their_order_though_they_come_in_any)
{
    begin("s012T|sf");
    for (int i = 0; i < 3; i++)
        toys.toys[i].is_slow = true;
    ask_with("");
    pass_for(3);
    assert_int_equal(toys.live, 3);
    toy_answer(1);
    heard("s[0 c0 a {}][1 c1 b {}][2 c2 c {}]");
    toy_answer(0);
    heard("s[0 c0 a {}][1 c1 b {}][2 c2 c {}](0 of a)(1 of b)");
    assert_int_equal(tape.unflushed, 0);      /* at once                        */
    pass_for(3);
    assert_int_equal(one.starts, 1);
    toy_answer(2);
    pass_until_over(PASSES);
    heard("s[0 c0 a {}][1 c1 b {}][2 c2 c {}](0 of a)(1 of b)(2 of c)|f");
    was_asked(1, "user:how much?\n" SAID("null", CALL("c0", "a", "{}") "," CALL(
                                                     "c1", "b", "{}") "," CALL("c2", "c", "{}"))
                     DID("c0", "of a") DID("c1", "of b") DID("c2", "of c"));
    end();
}

TEST(a_call_comes_in_pieces_beside_others)
{
    begin("s0213-4T|s5T|sf");
    wish(0, 7, "x", "a", "{\"n\":");
    wish(1, 7, "", "", "1");
    wish(2, 2, "y", "b", "");
    wish(3, 2, "", "", "{\"m\":2}");
    wish(4, 7, "", "", "}");
    wish(5, 2, "z", "c", "{}");
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 x a {\"n\":][1 y b ][0   1][1   {\"m\":2}][0   }](0 of a)(1 of b)|"
          "[2 z c {}](2 of c)|f");
    assert_string_equal(toys.runs[0].arguments, "{\"n\":1}");
    assert_string_equal(toys.runs[1].arguments, "{\"m\":2}");
    end();
}

TEST(a_tool_hears_who_wants_what)
{
    play("s0T|sf", "");
    assert_string_equal(toys.runs[0].call, "c0");
    assert_string_equal(toys.runs[0].request_id, "id");
    assert_string_equal(toys.runs[0].owner, "");
    end();

    kept_world("s0T|sf");
    toys_begin();
    ask_with("");
    pass_until_over(PASSES);
    assert_string_equal(toys.runs[0].owner, "anna");
    end();
}

TEST(there_are_no_more_rounds_than_may_be)
{
    begin("sd0T");
    catalog->settings->turns.max_rounds = 2;
    toys.counts_up = true;
    ask_with("");
    pass_until_over(PASSES);
    assert_int_equal(tape.fault, FAULT_TOO_MANY_ROUNDS);
    assert_int_equal(one.starts, 3);
    assert_int_equal(toys.n_runs, 3);
    heard("sword [0 c1 a {}](0 of a)|word [1 c2 a {}](1 of a)|word [2 c3 a {}](2 of a)e");
    end();
}

TEST(tokens_are_counted_of_all_rounds)
{
    play("s0uT|s1uT|suf", "");
    heard("s[0 c0 a {}]u3/2(0 of a)|[1 c1 b {}]u6/4(1 of b)|u9/6f");
    assert_int_equal(budget.bill.usage.prompt, 9);
    assert_int_equal(budget.bill.usage.completion, 6);
    end();
}

TEST(the_failure_of_a_silent_round_is_no_failure)
{
    patient_world("s0T|c|sdf", NULL, 1);
    toys_begin();
    ask_with("");
    pass_until_over(LONG);
    heard("s[0 c0 a {}](0 of a)|word f");
    assert_int_equal(one.starts, 3);
    assert_string_equal(toys.asked[1].messages, toys.asked[2].messages);
    end();

    world_begin("s0T|e", "sdf");
    toys_begin();
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0 of a)|word f");
    assert_int_equal(two.starts, 1);
    end();
}

TEST(a_round_that_has_spoken_is_not_begun_again)
{
    world_begin("s0T|sde", "sdf");
    toys_begin();
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0 of a)|word e");
    assert_int_equal(tape.fault, FAULT_PROVIDER_BUSY);
    assert_int_equal(two.starts, 0);
    end();
}

TEST(advice_about_a_call_is_none_about_the_next_round)
{
    patient_world("c|s0T", NULL, 1);
    toys_begin();
    one.advice.after = CLOCK_S;
    catalog->settings->turns.max_rounds = 1;
    ask_with("");
    pass_until_over(LONG);
    assert_int_equal(tape.fault, FAULT_TOO_MANY_ROUNDS);
    assert_int_equal(tape.advice.after, 0);
    end();
}

TEST(what_tools_say_counts_as_part_of_the_answer)
{
    begin("s0T|sdf");
    toys.toys[0].output = "more than may be";
    catalog->settings->turns.max_answer_bytes = 15;
    ask_with("");
    pass_until_over(PASSES);
    assert_int_equal(tape.fault, FAULT_ANSWER_TOO_BIG);
    end();
}

TEST(of_many_results_no_more_is_told_than_an_answer_may_have)
{
    begin("s012T|sdf");
    catalog->settings->turns.max_answer_bytes = 10;          /* "{}" three times, "of a" */
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 c0 a {}][1 c1 b {}][2 c2 c {}](0 of a)(1 of b)e");
    assert_int_equal(tape.fault, FAULT_ANSWER_TOO_BIG);
    end();
}

/* A model that was to use a tool again finds it there, under a name of its own. */
TEST(no_two_calls_of_a_turn_have_one_id)
{
    char want[400], own[60];

    begin("s0T|s1T|s2T|sf");
    wish(1, 0, "c0", "b", "{}");
    wish(2, 0, "call_0", "c", "{}");
    ask_with("");
    pass_until_over(PASSES);
    snprintf(own, sizeof own, "call_%s", tape.turn);
    snprintf(want, sizeof want,
             "s[0 c0 a {}](0 of a)|[1 %s_1 b {}](1 of b)|[2 %s_2 c {}](2 of c)|f", own, own);
    heard(want);
    assert_true(check_has(str_of(toys.asked[2].messages), str_of(own)));
    end();
}

TEST(an_id_that_a_service_gave_stays)
{
    begin("s01T|sf");
    wish(0, 0, "call_0123456789abcdef", "a", "{}");
    wish(1, 1, "tooluse_1", "b", "{}");
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 call_0123456789abcdef a {}][1 tooluse_1 b {}](0 of a)(1 of b)|f");
    end();
}

TEST(who_finishes_for_another_reason_wants_no_tools)
{
    play("s0l", "");
    heard("s[0 c0 a {}]f");
    assert_int_equal(tape.finish, FINISH_LENGTH);
    assert_int_equal(toys.n_runs, 0);
    end();
    play("sdT", "");
    heard("sword f");
    assert_int_equal(one.starts, 1);
    end();
}

/* ---- one call ---------------------------------------------------------------------------- */

TEST(a_tool_that_is_not_there)
{
    begin("s01T|sf");
    wish(0, 0, "x", "fly", "{");
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 x fly {][1 c1 b {}](0! " WRONG("There is no tool named fly",
                                              "unknown_tool") ")(1 of b)|f");
    assert_int_equal(toys.n_runs, 1);
    end();
}

TEST(a_round_of_nothing_that_can_be_run)
{
    begin("s0T|sf");
    wish(0, 0, "x", "fly", "{}");
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 x fly {}](0! " WRONG("There is no tool named fly", "unknown_tool") ")|f");
    end();
}

TEST(arguments_that_are_none)
{
    begin("s012T|sf");
    wish(0, 0, "x", "a", "[1]");
    wish(1, 1, "y", "b", "");
    wish(2, 2, "z", "c", "{\"n\"");
    ask_with("");
    pass_until_over(PASSES);
    assert_non_null(strstr(toys.heard, "(0! " WRONG("Invalid tool call arguments for tool a",
                                                    "they are no object") ")(1 of b)(2! "));
    assert_non_null(strstr(toys.heard, "Invalid tool call arguments for tool c"));
    assert_int_equal(toys.n_runs, 1);
    assert_string_equal(toys.runs[0].arguments, "{}");
    end();
}

TEST(a_tool_that_fails)
{
    begin("s0T|sf");
    toys.toys[0].fails = true;
    toys.toys[0].output = "no \"such\" thing";
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0! " WRONG("An error occurred while executing a",
                                   "no \\\"such\\\" thing") ")|f");
    end();
}

TEST(an_output_is_cut)
{
    begin("s01T|sf");
    toys.toys[1].fails = true;
    toys.tools[0]->output_limit = toys.tools[1]->output_limit = 2;
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 c0 a {}][1 c1 b {}](0 of\n[cut: the rest is too long])(1! " WRONG(
        "An error occurred while executing b", "of\\n[cut: the rest is too long]") ")|f");
    end();
}

TEST(a_tool_that_takes_too_long)
{
    begin("s01T|sf");
    toys.toys[0].is_slow = toys.toys[1].is_slow = true;
    toys.tools[0]->timeout = CLOCK_MS * 3 / 2;
    ask_with("");
    pass_for(8);
    heard("s[0 c0 a {}][1 c1 b {}](0! " WRONG("a timed out after 0.0015s", "timeout") ")");
    assert_int_equal(toys.cancels, 1);
    assert_int_equal(one.starts, 1);
    toy_answer(1);
    pass_until_over(PASSES);
    assert_int_equal(toys.cancels, 1);
    assert_int_equal(one.starts, 2);
    end();
}

TEST(a_tool_that_is_in_time_is_never_late)
{
    begin("s0T|--------sf");
    toys.tools[0]->timeout = 5 * CLOCK_MS;
    ask_with("");
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0 of a)|f");
    assert_int_equal(toys.cancels, 0);
    end();
}

TEST(a_tool_that_runs_alone)
{
    begin("s01230T|sf");
    toys.counts_up = true;
    toys.wishes[0].index = 10;
    for (int i = 0; i < 4; i++)
        toys.toys[i].is_slow = true;
    toys.tools[2]->runs_alone = true;
    ask_with("");
    pass_for(3);
    assert_int_equal(toys.live, 2);           /* a and b                        */
    toy_answer(1);
    pass_for(2);
    assert_int_equal(toys.n_runs, 2);         /* c waits for both               */
    toy_answer(0);
    pass_for(2);
    assert_int_equal(toys.n_runs, 3);
    assert_int_equal(toys.live, 1);
    toy_answer(2);
    pass_for(2);
    assert_int_equal(toys.live, 2);           /* d and a again                  */
    toy_answer(4);
    toy_answer(3);
    pass_until_over(PASSES);
    heard("s[0 c11 a {}][1 c2 b {}][2 c3 c {}][3 c4 d {}][4 c12 a {}]"
          "(0 of a)(1 of b)(2 of c)(3 of d)(4 of a)|f");
    end();
}

TEST(more_calls_than_anybody_means)
{
    static char script[200];

    for (int n = 128; n <= 129; n++) {
        script[0] = 's';
        memset(script + 1, '0', (size_t)n);
        snprintf(script + 1 + n, sizeof script - 1 - (size_t)n, "T|sf");
        begin(script);
        toys.counts_up = true;
        catalog->settings->turns.max_answer_bytes = 10000;
        ask_with("");
        pass_until_over(PASSES);
        assert_int_equal(tape.fault, n == 128 ? FAULT_NONE : FAULT_GARBAGE);
        assert_int_equal(toys.n_runs, n == 128 ? 128 : 0);
        end();
    }
}

/* ---- whoever ends it ---------------------------------------------------------------------- */

/* What was done is told: else the model would do it again. */
TEST(an_interrupt_ends_those_that_run_and_no_others)
{
    struct turn *t;

    begin("s012T|sf");
    toys.toys[0].is_slow = toys.toys[2].is_slow = true;
    t = ask_with("");
    pass_for(4);
    assert_int_equal(toys.live, 2);
    turn_interrupt(t, FAULT_SHUTDOWN);
    pass();
    assert_int_equal(toys.cancels, 2);
    heard("s[0 c0 a {}][1 c1 b {}][2 c2 c {}](1 of b)e");
    assert_int_equal(tape.fault, FAULT_SHUTDOWN);
    assert_int_equal(one.starts, 1);
    end();
}

TEST(a_rest_is_drained_and_no_other_round_is_begun)
{
    kept_world("s0T|sf");
    toys_begin();
    on_leave = LEAVING_DRAINS;
    toys.toys[0].is_slow = true;
    ask_with("");
    pass_for(6);
    sink_leave(&tape.sink->sink);
    pass_for(2);
    toy_answer(0);
    pass_until_over(PASSES);
    assert_int_equal(one.starts, 1);
    kept_end();
    assert_string_equal(fake.fault, "client_gone");
    toys_end();
}

TEST(a_tool_may_answer_between_the_interrupt_and_the_last_word)
{
    for (int n = 1; n <= 2; n++) {
        begin(n == 1 ? "s0T|sf" : "s01T|sf");
        toys.toys[0].is_slow = toys.toys[1].is_slow = true;
        ask_with("");
        pass_for(3);
        turns_interrupt_all(FAULT_SHUTDOWN);
        toy_answer(0);
        pass();
        assert_int_equal(toys.cancels, (size_t)n - 1);
        assert_int_equal(tape.fault, FAULT_SHUTDOWN);
        assert_int_equal(tape.last_words, 1);
        assert_int_equal(one.starts, 1);
        end();
    }
}

TEST(when_the_reader_leaves_no_tool_goes_on)
{
    begin("s0T|sf");
    toys.toys[0].is_slow = true;
    ask_with("");
    pass_for(4);
    sink_leave(&tape.sink->sink);
    pass();
    assert_int_equal(toys.cancels, 1);
    assert_int_equal(one.starts, 1);
    end();
}

TEST(a_full_reader_holds_up_the_next_round)
{
    begin("s0T|sdf");
    toys.toys[0].is_slow = true;
    tape.hold_at = 1;
    ask_with("");
    pass_for(4);
    toy_answer(0);
    pass_for(6);
    heard("s[0 c0 a {}](0 of a)");            /* that much has room             */
    assert_int_equal(one.starts, 2);
    assert_int_equal(one.pauses, 1);
    sink_go_on(&tape.sink->sink);
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0 of a)|word f");
    end();
}

TEST(what_is_kept_says_what_nobody_saw_the_end_of)
{
    struct turn *t;

    kept_world("sd01T|sf");
    toys_begin();
    toys.toys[1].is_slow = true;
    t = ask_with("");
    pass_for(6);
    assert_int_equal(toys.live, 1);
    turn_interrupt(t, FAULT_SHUTDOWN);
    pass_until_over(PASSES);
    check_text(str_of(fake.calls),
               "[{\"id\":\"c0\",\"type\":\"function\",\"function\":{\"name\":\"a\",\"arguments\":"
               "\"{}\"},\"round\":0,\"at\":5,\"result\":\"of a\"},{\"id\":\"c1\",\"type\":"
               "\"function\",\"function\":{\"name\":\"b\",\"arguments\":\"{}\"},\"round\":0,"
               "\"at\":5}]");
    assert_string_equal(fake.journal, tape.text);
    end();
}

TEST(a_result_is_in_the_journal_before_the_next_round)
{
    kept_world("s0T|---------------------------sf");
    toys_begin();
    ask_with("");
    pass_for(30);
    assert_string_equal(fake.journal, "stt");
    pass_until_over(2 * PASSES);
    end();
}

TEST(a_long_result_is_kept_at_once)
{
    static char output[300];

    kept_world("s0T|---------------------------sf");
    toys_begin();
    memset(output, 'x', sizeof output - 1);
    toys.toys[0].output = output;
    toys.toys[0].is_slow = true;
    ask_with("");
    pass_for(25);
    assert_string_equal(fake.journal, "st");
    toy_answer(0);
    notes_run();
    assert_string_equal(fake.journal, "stt");
    pass_until_over(2 * PASSES);
    end();
}

TEST(runs_are_counted)
{
    int64_t done = labelled_metric("runnel_tool_runs_total{end=\"done\"}"),
            failed = labelled_metric("runnel_tool_runs_total{end=\"failed\"}");

    begin("s012T|sf");
    toys.toys[1].fails = true;
    ask_with("");
    pass_until_over(PASSES);
    assert_int_equal(labelled_metric("runnel_tool_runs_total{end=\"done\"}"), done + 2);
    assert_int_equal(labelled_metric("runnel_tool_runs_total{end=\"failed\"}"), failed + 1);
    end();
}

/* ---- what is on offer ---------------------------------------------------------------------- */

TEST(other_settings_leave_a_turn_its_tools)
{
    begin("s0T|s0T|sf");
    toys.toys[0].is_slow = true;
    ask_with("");
    pass_for(3);
    toys_reload();
    assert_int_equal(toys.released, 0);
    toy_answer(0);
    pass_for(3);
    assert_ptr_not_equal(toys.runs[1].tool, toys.tools[0]);
    assert_int_equal(toys.released, 0);
    toy_answer(1);
    pass_until_over(PASSES);
    assert_string_equal(toys.asked[2].options, toys.asked[0].options);
    assert_int_equal(toys.released, TOYS);
    end();
}

#define TOY(name)                                                                                  \
    "{\"type\":\"function\",\"function\":{\"name\":\"" name                                        \
    "\",\"description\":\"a toy\",\"parameters\":{}}}"
#define DOOR "{\"type\":\"function\",\"function\":{\"name\":\"door\"}}"

TEST(tools_are_offered_behind_the_client_s_own)
{
    play("s0T|sf", "");
    check_text(str_of(toys.asked[0].options),
               ",\"tools\":[" TOY("a") "," TOY("b") "," TOY("c") "," TOY("d") "]");
    end();
    play("s0T|sf", ",\"top_p\":0.5,\"tool_choice\":\"required\",\"tools\":[" DOOR "],\"x\":null");
    check_text(str_of(toys.asked[0].options),
               ",\"top_p\":0.5,\"tool_choice\":\"required\",\"x\":null,\"tools\":[" DOOR
               "," TOY("a") "," TOY("b") "," TOY("c") "," TOY("d") "]");
    check_text(str_of(toys.asked[1].options), ",\"top_p\":0.5,\"x\":null,\"tools\":[" DOOR "," TOY(
                                                  "a") "," TOY("b") "," TOY("c") "," TOY("d") "]");
    end();
}

TEST(a_client_s_call_is_his)
{
    const char *options = ",\"tools\":[" DOOR "]";

    begin("s0T|sf");
    wish(0, 0, "x", "door", "{}");
    ask_with(options);
    pass_until_over(PASSES);
    heard("s<0 x door {}>f");
    assert_int_equal(tape.finish, FINISH_TOOL_CALLS);
    assert_int_equal(one.starts, 1);
    end();

    begin("s0T|sf");
    wish(0, 0, "x", "fly", "{}");             /* he knows what he means         */
    ask_with(options);
    pass_until_over(PASSES);
    heard("s<0 x fly {}>f");
    end();
}

TEST(ours_are_run_beside_a_client_s_and_then_it_is_his_turn)
{
    begin("s0T|s132T|sf");
    wish(1, 0, "x", "door", "{}");
    wish(2, 1, "y", "b", "{}");
    wish(3, 2, "z", "door", "{\"n\":1}");
    ask_with(",\"tools\":[" DOOR "]");
    pass_until_over(PASSES);
    heard("s[0 c0 a {}](0 of a)|<0 x door {}><1 z door {\"n\":1}>[1 y b {}](1 of b)f");
    assert_int_equal(tape.finish, FINISH_TOOL_CALLS);
    assert_int_equal(one.starts, 2);
    end();
}

TEST(of_one_name_the_client_s_is_meant)
{
    play("s0T|sf", ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}]");
    heard("s<0 c0 a {}>f");
    assert_int_equal(toys.n_runs, 0);
    check_text(str_of(toys.asked[0].options),
               ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}," TOY(
                   "b") "," TOY("c") "," TOY("d") "]");
    end();
}

TEST(a_question_that_is_no_chat_is_offered_none)
{
    struct question    *q = question_new();
    struct provider_ops gives;

    begin("sdf");
    gives = *one.provider.ops;
    gives.gives_embeddings = true;
    one.provider.ops = &gives;
    q->asked = ASKED_EMBEDDINGS;
    ask_for(&tape, q);
    pass_until_over(PASSES);
    assert_int_equal(toys.n_asked, 1);
    assert_string_equal(toys.asked[0].options, "");
    end();
}

TEST(a_model_whose_tools_are_gone_has_none)
{
    static struct str gone = STR_INIT("gone");

    begin("s0T|sf");
    model.tools = (struct conf_texts){ &gone, 1 };
    ask_with("");
    pass_until_over(PASSES);
    heard("s<0 c0 a {}>f");
    assert_int_equal(toys.n_asked, 1);
    assert_string_equal(toys.asked[0].options, "");
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_hears_what_was_said_and_done),
        cmocka_unit_test(results_come_in_their_order_though_they_come_in_any),
        cmocka_unit_test(a_call_comes_in_pieces_beside_others),
        cmocka_unit_test(a_tool_hears_who_wants_what),
        cmocka_unit_test(there_are_no_more_rounds_than_may_be),
        cmocka_unit_test(tokens_are_counted_of_all_rounds),
        cmocka_unit_test(the_failure_of_a_silent_round_is_no_failure),
        cmocka_unit_test(a_round_that_has_spoken_is_not_begun_again),
        cmocka_unit_test(advice_about_a_call_is_none_about_the_next_round),
        cmocka_unit_test(what_tools_say_counts_as_part_of_the_answer),
        cmocka_unit_test(of_many_results_no_more_is_told_than_an_answer_may_have),
        cmocka_unit_test(no_two_calls_of_a_turn_have_one_id),
        cmocka_unit_test(an_id_that_a_service_gave_stays),
        cmocka_unit_test(who_finishes_for_another_reason_wants_no_tools),
        cmocka_unit_test(a_tool_that_is_not_there),
        cmocka_unit_test(a_round_of_nothing_that_can_be_run),
        cmocka_unit_test(arguments_that_are_none),
        cmocka_unit_test(a_tool_that_fails),
        cmocka_unit_test(an_output_is_cut),
        cmocka_unit_test(a_tool_that_takes_too_long),
        cmocka_unit_test(a_tool_that_is_in_time_is_never_late),
        cmocka_unit_test(a_tool_that_runs_alone),
        cmocka_unit_test(more_calls_than_anybody_means),
        cmocka_unit_test(an_interrupt_ends_those_that_run_and_no_others),
        cmocka_unit_test(a_rest_is_drained_and_no_other_round_is_begun),
        cmocka_unit_test(a_tool_may_answer_between_the_interrupt_and_the_last_word),
        cmocka_unit_test(when_the_reader_leaves_no_tool_goes_on),
        cmocka_unit_test(a_full_reader_holds_up_the_next_round),
        cmocka_unit_test(what_is_kept_says_what_nobody_saw_the_end_of),
        cmocka_unit_test(a_result_is_in_the_journal_before_the_next_round),
        cmocka_unit_test(a_long_result_is_kept_at_once),
        cmocka_unit_test(runs_are_counted),
        cmocka_unit_test(other_settings_leave_a_turn_its_tools),
        cmocka_unit_test(tools_are_offered_behind_the_client_s_own),
        cmocka_unit_test(a_client_s_call_is_his),
        cmocka_unit_test(ours_are_run_beside_a_client_s_and_then_it_is_his_turn),
        cmocka_unit_test(of_one_name_the_client_s_is_meant),
        cmocka_unit_test(a_question_that_is_no_chat_is_offered_none),
        cmocka_unit_test(a_model_whose_tools_are_gone_has_none),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
