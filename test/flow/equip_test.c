/* equip_test.c - the step equip x { now, later, never } x every moment of an interrupt, of turns
 * that are kept and of others; and who is offered what a tenant has. */
#include "flow/fake_tools.h"
#include "flow/world.h"

#include "check.h"

#include <string.h>

enum mode { NOW, LATER, NEVER, MODES };
enum { LATER_AT = 5, LAST_INTERRUPT = 20 };

static const char script[] = "-s0-uT|-sd-uf";
static const char heard[] = "s[0 c0 e {}]u3/2(0 of e)|word u6/4f";

static void begin(const char *says, bool kept)
{
    if (kept)
        kept_world(says);
    else
        world_begin(says, NULL);
    toys_begin();
    toys_give_tenant();
    toys.wishes[0] = (struct wish){ 0, "c0", "e", "{}" };
}

static void end(void)
{
    settle();
    toys_end();
}

/* ---- every moment ------------------------------------------------------------------------- */

static void check_heard(void)
{
    struct str all = { toys.heard, toys.n_heard - (tape.fault != FAULT_NONE) };

    if (tape.fault == FAULT_NONE)
        check_text(all, heard);
    else
        assert_true(str_starts(str_of(heard), all));
}

static void check_end(enum mode mode, bool disturbed, bool kept)
{
    assert_int_equal(tape.last_words, 1);
    if (!disturbed || tape.fault != FAULT_SHUTDOWN)
        assert_int_equal(tape.fault, mode == NEVER ? FAULT_TIMEOUT : FAULT_NONE);
    if (!disturbed)
        assert_int_equal(one.starts, mode == NEVER ? 0 : 2);
    assert_true(mode != NEVER || one.starts == 0);
    assert_true(toys.looks == 1 || (toys.looks == 0 && disturbed));
    check_heard();
    assert_int_equal(fake.saves, kept && tape.begins);
    if (fake.saves)
        assert_string_equal(fake.fault, fault_name(tape.fault));
    assert_int_equal(budget.bills, 1);
}

static void run_case(enum mode mode, int interrupt_at, bool kept)
{
    struct turn *t;
    bool         disturbed = false;

    begin(script, kept);
    toys.is_known = mode == NOW;
    t = ask();
    for (int i = 0; i < PASSES && turns_alive(); i++) {
        if (i == interrupt_at) {
            turn_interrupt(t, FAULT_SHUTDOWN);
            disturbed = true;
        }
        if (i == LATER_AT && mode == LATER)
            toys_known();
        pass();
    }
    if (turns_alive()) {
        assert_true(mode == NEVER && !disturbed);
        pass_until_over(2 * LIMIT_MS);
    }
    check_end(mode, disturbed, kept);
    end();
}

TEST(every_mode_every_moment)
{
    for (int mode = 0; mode < MODES; mode++)
        for (int at = -1; at <= LAST_INTERRUPT; at++) {
            run_case((enum mode)mode, at, false);
            run_case((enum mode)mode, at, true);
        }
}

/* ---- what is on offer ---------------------------------------------------------------------- */

static void play(void)
{
    ask();
    pass_until_over(PASSES);
    assert_int_equal(tape.last_words, 1);
}

/* Where the offer of a tool begins; NULL: it is not on offer. */
static const char *offer_of(const char *name)
{
    char text[40];

    snprintf(text, sizeof text, "{\"name\":\"%s\"", name);
    return strstr(toys.asked[0].options, text);
}

TEST(what_the_tenant_has_stands_behind_what_the_settings_have)
{
    begin("sdf", false);
    toys.is_known = true;
    play();
    assert_non_null(offer_of("a"));
    assert_true(offer_of("a") < offer_of("d"));
    assert_true(offer_of("d") < offer_of("e"));
    end();
}

TEST(a_model_without_tools_of_its_own_has_the_tenants)
{
    begin(script, false);
    model.tools = (struct conf_texts){ NULL, 0 };
    toys.is_known = true;
    play();
    check_heard();
    assert_null(offer_of("a"));
    assert_non_null(offer_of("e"));
    end();
}

TEST(where_nothing_is_known_nothing_is_on_offer)
{
    begin("sdf", false);
    toys.is_known = true;
    model.tools = (struct conf_texts){ NULL, 0 };
    tool_drop(toys.of_tenant);
    toys.of_tenant = NULL;
    toys.released--;
    play();
    assert_string_equal(toys.asked[0].options, "");
    assert_int_equal(toys.looks, 1);
    told("sdf", FAULT_NONE);
    end();
}

TEST(a_model_that_may_not_use_it_does_not_look)
{
    begin("sdf", false);
    model.tenant_tools = false;
    toys.is_known = true;
    play();
    assert_int_equal(toys.looks, 0);
    assert_non_null(offer_of("d"));
    assert_null(offer_of("e"));
    end();
}

TEST(whoever_wants_no_chat_is_not_looked_up)
{
    struct question *q;

    begin("sdf", false);
    q = question_new();
    q->asked = ASKED_EMBEDDINGS;
    toys.is_known = true;
    ask_for(&tape, q);
    pass_until_over(PASSES);
    assert_int_equal(toys.looks, 0);
    end();
}

TEST(whoever_wants_no_tools_is_offered_none)
{
    struct question *q;

    begin("sdf", false);
    q = question_new();
    q->has_no_tools = true;
    toys.is_known = true;
    ask_for(&tape, q);
    pass_until_over(PASSES);
    assert_int_equal(toys.looks, 0);
    assert_string_equal(toys.asked[0].options, "");
    told("sdf", FAULT_NONE);
    end();
}

TEST(the_tools_of_a_turn_are_picked_once)
{
    begin("s0T|s0T|s0T|sf", false);
    toys.is_known = true;
    play();
    assert_int_equal(toys.looks, 1);
    assert_int_equal(toys.n_runs, 3);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mode_every_moment),
        cmocka_unit_test(what_the_tenant_has_stands_behind_what_the_settings_have),
        cmocka_unit_test(a_model_without_tools_of_its_own_has_the_tenants),
        cmocka_unit_test(where_nothing_is_known_nothing_is_on_offer),
        cmocka_unit_test(a_model_that_may_not_use_it_does_not_look),
        cmocka_unit_test(whoever_wants_no_chat_is_not_looked_up),
        cmocka_unit_test(whoever_wants_no_tools_is_offered_none),
        cmocka_unit_test(the_tools_of_a_turn_are_picked_once),
    };

    log_setup(LOG_ERROR, LOG_LOGFMT);
    clock_fake(++now_ms * CLOCK_MS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
