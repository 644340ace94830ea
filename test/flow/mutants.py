#!/usr/bin/env python3
"""Do the tests notice when a turn is wrong?

Each row breaks one source file in one place; the tests below, built into one program with
the broken file, must fail (or hang). A row whose text is no longer in the source is an
error too: move it along with the code. Run after `cmake --build --preset dev`.
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/dev"
HANGS_S = 20                                  # the tests themselves take half a second

TESTS = ["unit/base/gate_test", "unit/provider/plan_test", "unit/provider/standing_test",
         "unit/provider/keys_test", "unit/provider/advice_test", "flow/turn_test",
         "flow/afford_test", "flow/turn_log_test", "flow/policy_test", "flow/order_test",
         "flow/breaker_test", "flow/steps_test"]
HELPERS = ["flow/world"]

TURN = [  # what it breaks, the text, what stands there instead
    ("a result does not end the wait", "    t->waiting = false;\n    t->came = came;", "    t->came = came;"),
    ("the last reason stands", "    if (t->interrupt)\n        return;\n    t->interrupt = why;", "    t->interrupt = why;"),
    ("an interrupt leaves no note", "    t->interrupt = why;\n    note_leave(&t->note);", "    t->interrupt = why;"),
    ("the limit is not armed", "    deadline_arm(&t->limit, clock_now() + t->catalog->settings->turns.max_time);\n", ""),
    ("the limit outlives the turn", "    deadline_disarm(&t->limit);\n", ""),
    ("a full reader is not waited for", "    bool                       pause = t->full > 0;", "    bool                       pause = false;"),
    ("a full reader is never let go on", "    k->turn->full--;\n", ""),
    ("hold is counted twice", "    if (k->full)\n        return;\n", ""),
    ("go on is counted twice", "    if (!k->full)\n        return;\n", ""),
    ("a pause outlives its call", "    t->paused = false;\n    t->call = at->", "    t->call = at->"),
    ("a new call is not paused for a full reader", "at->model, out);\n    turn_pace(t);", "at->model, out);"),
    ("nobody listens and it goes on", "    if (t->sinks.n == 0)\n        turn_interrupt(t, FAULT_CLIENT_GONE);\n", ""),
    ("a leaving reader is not closed", "    k->turn = NULL;\n    k->ops->close(k);", "    k->turn = NULL;"),
    ("a call outlives its last word", "    t->call = NULL;\n", ""),
    ("events are told after the interrupt", "    if (t->interrupt)\n        return;                               /* on the way out already         */\n", ""),
    ("an error is told at once", "        turn_resume(t, ev->fault);            /* told once nobody else can answer */\n        return;", "        turn_resume(t, ev->fault);\n        turn_tell(t, ev);\n        return;"),
    ("the finish is told at once", "        turn_resume(t, FAULT_NONE);\n    } else {\n        turn_tell(t, ev);", "        turn_resume(t, FAULT_NONE);\n        turn_tell(t, ev);\n    } else {\n        turn_tell(t, ev);"),
    ("the finish reason is forgotten", "        t->finish = ev->finish;\n", ""),
    ("a refused turn is answered", "    return came ? STEP_GONE : STEP_AFFORD;", "    return STEP_AFFORD;"),
    ("a refusal is no fault", "    t->fault = came;\n    return came ? STEP_GONE : STEP_AFFORD;", "    return came ? STEP_GONE : STEP_AFFORD;"),
    ("nobody looks whether he can afford it", "came ? STEP_GONE : STEP_AFFORD;", "came ? STEP_GONE : STEP_CHOOSE;"),
    ("who cannot afford it is answered", "    return came ? STEP_GONE : STEP_CHOOSE;", "    return STEP_CHOOSE;"),
    ("what is used up is no fault", "    t->fault = came;\n    return came ? STEP_GONE : STEP_CHOOSE;", "    return came ? STEP_GONE : STEP_CHOOSE;"),
    ("nobody hears of the room", "        s->ops->room(s, &b->call);\n", "        ;\n"),
    ("the room is heard of when it is over", "    LIST_EACH(&t->sinks, k) {\n        struct sink *s = LIST_OWNER(k, struct sink, link);\n\n        s->ops->room", "    if (fault) LIST_EACH(&t->sinks, k) {\n        struct sink *s = LIST_OWNER(k, struct sink, link);\n\n        s->ops->room"),
    ("who is refused does not hear until when", "fault ? b->call.wait * CLOCK_S : 0;", "0;"),
    ("a second is a nanosecond", "b->call.wait * CLOCK_S", "b->call.wait"),
    ("what is used up is worth another try", "    t->advice.not_again = fault == FAULT_USED_UP;\n", ""),
    ("nobody who is refused need come again", "t->advice.not_again = fault == FAULT_USED_UP;", "t->advice.not_again = fault;"),
    ("who is let in is told that he is refused", "    turn_resume(t, fault);\n}\n\nstatic void ask_afford", "    turn_resume(t, FAULT_RATE_LIMITED);\n}\n\nstatic void ask_afford"),
    ("who is refused is let in", "    turn_resume(t, fault);\n}\n\nstatic void ask_afford", "    turn_resume(t, FAULT_NONE);\n}\n\nstatic void ask_afford"),
    ("an answer is as long as the largest in bytes", "s->answer_tokens, s->max_time", "s->max_answer_bytes, s->max_time"),
    ("it is reserved for as long as a line has patience", "s->answer_tokens, s->max_time", "s->answer_tokens, s->max_wait"),
    ("nothing is settled", "    bill_settle(&t->bill, &t->tally, fault_end(t->fault) == END_ERROR);\n", ""),
    ("who leaves is counted as a failure", "fault_end(t->fault) == END_ERROR)", "t->fault != FAULT_NONE)"),
    ("no turn is counted as a failure", "fault_end(t->fault) == END_ERROR)", "false)"),
    ("the end is not logged", "    turn_log_end(t, script[t->step].name);\n", ""),
    ("a call that failed is not logged", "    turn_log_failed_call(t, came);\n", ""),
    ("nobody has a bill", "    bill_begin(&t->bill, order->asker, t->question, t->model, t->request_id);\n", ""),
    ("the bill bears no name", "t->model, t->request_id);", "t->model, t->client);"),
    ("a place is never given back", "    gate_give_back(&t->place);\n    deadline_disarm", "    deadline_disarm"),
    ("a call's places are never given back", "    drop_place(t);\n    t->fault = t->failed = came;", "    t->fault = t->failed = came;"),
    ("somebody else is asked after the first word", "return silent && fault", "return fault"),
    ("somebody else is asked whatever the fault", "silent && fault_may_retry(came) ?", "silent ?"),
    ("nobody else is asked", "silent && fault_may_retry(came) ? STEP_CHOOSE : STEP_GONE", "STEP_GONE"),
    ("the fault is forgotten", "    t->fault = t->failed = came;", "    t->failed = came;"),
    ("an abandoned call goes on", "    plan_target(&t->plan)->provider->ops->cancel(t->call);\n", ""),
    ("an interrupted turn starts a step", "    if (t->interrupt)\n        turn_resume(t, t->interrupt);\n    else\n        script", "        script"),
    ("an interrupt drops nothing", "            script[t->step].drop(t);\n", ""),
    ("an interrupt is taken for a good end", "            t->came = t->interrupt;", "            t->came = FAULT_NONE;"),
    ("the last word is not flushed", "    turn_tell(t, &last);\n    turn_flush(t);", "    turn_tell(t, &last);"),
    ("the last word is always good", "    if (t->fault)\n        last =", "    if (0)\n        last ="),
    ("the catalog is not dropped", "    catalog_drop(t->catalog);\n", ""),
    ("the catalog is not retained", "catalog_retain(offer_catalog())", "offer_catalog()"),
    ("an answer may be of any size", "        turn_interrupt(t, FAULT_ANSWER_TOO_BIG);\n", "        ;\n"),
    ("the question leaks", "    question_free(t->question);\n", ""),
    ("a call that ends is not counted", "    metric_add_labelled(METRIC_CALLS, fault_name(how), \"\");\n", ""),
    ("a call that fails is not over", "    if (ev->type == EVENT_FINISH || ev->type == EVENT_ERROR)\n        call_is", "    if (ev->type == EVENT_FINISH)\n        call_is"),
    ("a call is counted by the wrong fault", "        call_is_over(t, ev->fault); ", "        call_is_over(t, FAULT_NONE); "),
    ("an abandoned call is not counted", "    call_is_over(t, t->interrupt);\n", "    t->call = NULL;\n"),
    ("a call that is gone is cancelled", "    if (!t->call)\n        return;                               /* it ended behind the interrupt  */\n", ""),
    ("the advice is forgotten", "        t->advice = ev->advice;\n", ""),
    ("the advice is not passed on", "        last.advice = t->advice;\n", "        ;\n"),
    ("an interrupt carries the advice of a call before", "    if (t->fault != t->interrupt) ", "    if (t->fault) "),
    ("a beginning is not told to the plan", "        plan_answered(&t->plan);\n", "        ;\n"),
    ("a pause is taken for somebody to ask", "    t->chosen = next == PLAN_ASK;", "    t->chosen = next != PLAN_STOP;"),
    ("a pause is a second longer", "        deadline_arm(&t->pause, until);", "        deadline_arm(&t->pause, until + CLOCK_S);"),
    ("a pause outlives its turn", "    deadline_disarm(&t->pause);\n", ""),
    ("a pause is followed by a call without a look", "    return t->chosen ? STEP_PLACE : STEP_CHOOSE;", "    return STEP_PLACE;"),
    ("nobody says when to come again", "        t->advice.after = until - now;\n", "        ;\n"),
    ("who comes again is told a time that nobody knows", "    if (next == PLAN_STOP && until != UINT64_MAX)", "    if (next == PLAN_STOP)"),
    ("the last failure is forgotten when nobody is left", "next == PLAN_STOP ? t->failed :", "next == PLAN_STOP ? FAULT_RESTING :"),
    ("where all rest it is said that all are busy", "    t->failed = FAULT_RESTING; ", "    t->failed = FAULT_PROVIDER_BUSY; "),
    ("nobody can be asked, and it goes on", "    if (came)\n        return STEP_GONE;\n    return t->chosen", "    return t->chosen"),
    ("a provider without a place is asked", "held ? FAULT_NONE : FAULT_PROVIDER_BUSY);\n}\n\nstatic void target_place", "FAULT_NONE);\n}\n\nstatic void target_place"),
    ("the target's gate alone is asked", "        gate_ask(&plan_target(&t->plan)->provider->standing->gate, &t->provider_place,\n                 provider_place_told);", "        turn_resume(t, FAULT_NONE);"),
    ("a target without a place is asked", "    else\n        turn_resume(t, FAULT_PROVIDER_BUSY);\n", "    else\n        turn_resume(t, FAULT_NONE);\n"),
    ("the provider's place is kept", "    gate_give_back(&t->provider_place);\n", ""),
    ("the target's place is kept", "    gate_give_back(&t->target_place);\n", ""),
    ("the target's place is kept without the provider's", "    drop_place(t);\n    if (came == FAULT_NONE)\n        return STEP_CHOOSE;", "    if (came == FAULT_NONE)\n        return STEP_CHOOSE;"),
    ("a line is served past an open breaker", "came == FAULT_NONE && plan_may_ask(&t->plan, clock_now())", "came == FAULT_NONE"),
    ("who waited in vain hides why the other failed", "    if (!t->plan.calls)\n        t->failed = came;", "    t->failed = came;"),
    ("who waited in vain is told that all rest", "    if (!t->plan.calls)\n        t->failed = came;\n", ""),
    ("the same line again", "    plan_crowded(&t->plan);\n", ""),
    ("a call is not told to the plan", "    plan_ask(&t->plan);\n", ""),
    ("the first call is a retry", "    if (t->plan.calls > 1)", "    if (t->plan.calls > 0)"),
    ("the same again is counted as another", "at == t->last_asked ?", "at != t->last_asked ?"),
    ("who was asked last is forgotten", "    t->last_asked = at;\n", ""),
    ("a good end is not told to the plan", "        plan_finished(&t->plan);\n", ""),
    ("an interrupt leaves the breaker tried for ever", "        plan_left(&t->plan);\n", ""),
    ("an interrupt is taken for a failure", "    if (t->interrupt) {\n        plan_left(&t->plan);\n        return STEP_GONE;\n    }\n", ""),
    ("a failure is not told to the plan", "    plan_failed(&t->plan, came, &t->advice, clock_now());\n", ""),
    ("the limit is somebody else's fault", "turn, limit), FAULT_TIMEOUT)", "turn, limit), FAULT_WENT_QUIET)"),
]

BILL = [
    ("a token is three bytes", "BYTES_PER_TOKEN = 4", "BYTES_PER_TOKEN = 3"),
    ("a message has no ends", "TOKENS_PER_MESSAGE = 4", "TOKENS_PER_MESSAGE = 0"),
    ("a begun token is none", "(bytes + BYTES_PER_TOKEN - 1)", "bytes"),
    ("the first message is the question", "i < q->n_messages", "i < q->n_messages && i < 1"),
    ("the last message is the question", "        tokens += tokens_of", "        tokens = tokens_of"),
    ("what a message came as is not counted", "m->raw.n ? m->raw.n : m->text.n", "m->text.n"),
    ("text alone is not counted", "m->raw.n ? m->raw.n : m->text.n", "m->raw.n"),
    ("what is begun is not paid", " + MILLION - 1)", ")"),
    ("what is whole is paid as begun", " + MILLION - 1)", " + MILLION)"),
    ("a question costs nothing", "cost(prompt, m->prompt_price) + ", ""),
    ("an answer costs what a question costs", "cost(completion, m->completion_price)", "cost(completion, m->prompt_price)"),
    ("a price is for one token", "/\n           MILLION;", ";"),
    ("an answer of any length is reserved", "believed(q->max_tokens ? q->max_tokens : answer)", "q->max_tokens ? q->max_tokens : answer"),
    ("a question of any length is settled", "believed(tally->usage.prompt)", "tally->usage.prompt"),
    ("an answer of any length is settled", "believed(tally->usage.completion)", "tally->usage.completion"),
    ("money wraps round", "price && tokens > MONEY_MAX / price ? MONEY_MAX : ", ""),
    ("what is dear is free", "MONEY_MAX / price ? MONEY_MAX :", "MONEY_MAX / price ? 0 :"),
    ("nobody knows who asked", "    b->asker = *asker;\n", ""),
    ("the question is not counted", "    b->prompt = tokens_of_question(q);\n", ""),
    ("nothing is to be settled", "    b->is_open = store != NULL;\n", ""),
    ("without a database it is settled", "b->is_open = store != NULL;", "b->is_open = true;"),
    ("too many requests are let in", "[BUDGET_REQUESTS] = FAULT_RATE_LIMITED", "[BUDGET_REQUESTS] = FAULT_NONE"),
    ("too many tokens are too many streams", "[BUDGET_TOKENS] = FAULT_RATE_LIMITED", "[BUDGET_TOKENS] = FAULT_TOO_MANY_AT_ONCE"),
    ("too many streams are too many requests", "[BUDGET_STREAMS] = FAULT_TOO_MANY_AT_ONCE", "[BUDGET_STREAMS] = FAULT_RATE_LIMITED"),
    ("a day's tokens are let in", "[BUDGET_DAY_TOKENS] = FAULT_USED_UP", "[BUDGET_DAY_TOKENS] = FAULT_NONE"),
    ("a day's money is a minute's", "[BUDGET_DAY_MONEY] = FAULT_USED_UP", "[BUDGET_DAY_MONEY] = FAULT_RATE_LIMITED"),
    ("without its answer all are let in", "c->verb.end == STORE_OK ? faults[c->limit] : FAULT_NO_DATABASE", "faults[c->limit]"),
    ("a database that is busy lets in", "c->verb.end == STORE_OK ?", "c->verb.end == STORE_OK || c->verb.end == STORE_BUSY ?"),
    ("a refusal is settled", "    if (fault && b->call.verb.end != STORE_UNKNOWN)\n", "    if (0)\n"),
    ("who is let in is not settled", "    if (fault && b->call.verb.end != STORE_UNKNOWN)\n", ""),
    ("what may have been reserved is kept", "    if (fault && b->call.verb.end != STORE_UNKNOWN)\n", "    if (fault)\n"),
    ("nobody is told", "    b->told(b, fault);\n", ""),
    ("whoever waited is let in", "    b->told(b, fault);\n", "    b->told(b, FAULT_NONE);\n"),
    ("the question's own limit is not looked at", "q->max_tokens ? q->max_tokens : answer", "answer"),
    ("an answer without a limit has no length", "q->max_tokens ? q->max_tokens : answer", "q->max_tokens"),
    ("a question may only ask for less", "q->max_tokens ? q->max_tokens : answer", "q->max_tokens && q->max_tokens < answer ? q->max_tokens : answer"),
    ("who has no limit is asked for", "!store || !b->asker.is_limited", "!store"),
    ("without a database it is reserved", "!store || !b->asker.is_limited", "!b->asker.is_limited"),
    ("nothing is reserved", "!store || !b->asker.is_limited", "1"),
    ("who has no limit is not let in", "        told(b, FAULT_NONE);\n        return;", "        told(b, FAULT_USED_UP);\n        return;"),
    ("the answer is not reserved", ".tokens = b->prompt + completion", ".tokens = b->prompt"),
    ("the question is not reserved", ".tokens = b->prompt + completion", ".tokens = completion"),
    ("no money is reserved", ".money = money_for(b->model, b->prompt, completion)", ".money = 0"),
    ("a turn's last second is not reserved", "max_time / CLOCK_S + 1", "max_time / CLOCK_S"),
    ("a turn's seconds are its nanoseconds", "max_time / CLOCK_S + 1", "max_time + 1"),
    ("who asked is not forgotten", "    verb_drop(&b->call.verb);\n    if (!b->is_open)", "    if (!b->is_open)"),
    ("what is not open is settled", "    if (!b->is_open)\n        return;\n", ""),
    ("a question alone is no count", "!usage.prompt && !usage.completion", "!usage.completion"),
    ("an answer alone is no count", "!usage.prompt && !usage.completion", "!usage.prompt"),
    ("what failed at once is estimated", " && tally->events > 0;", ";"),
    ("nothing is estimated", "    if (is_estimated)\n", "    if (0)\n"),
    ("an estimate has no question", "{ b->prompt, tokens_of(tally->text_bytes) }", "{ 0, tokens_of(tally->text_bytes) }"),
    ("an estimate has no answer", "{ b->prompt, tokens_of(tally->text_bytes) }", "{ b->prompt, 0 }"),
    ("a byte is a token", "tokens_of(tally->text_bytes)", "tally->text_bytes"),
    ("somebody else's key is billed", ".key = b->asker.key", ".key = b->asker.account"),
    ("nobody's account is billed", "                                      .account = b->asker.account,\n", ""),
    ("no money is billed", ".money = money_for(b->model, usage.prompt, usage.completion)", ".money = 0"),
    ("the reserved money is billed", "usage.prompt, usage.completion),", "b->prompt, usage.completion),"),
    ("an estimate does not say so", ".is_estimated = is_estimated", ".is_estimated = false"),
    ("a failure does not say so", ".is_failure = is_failure", ".is_failure = false"),
]

LOG = [
    ("the turn is not counted", "    metric_add_labelled(METRIC_TURNS, end_name(end), \"\");\n", ""),
    ("the turn is counted as another", "METRIC_TURNS, end_name(end)", "METRIC_TURNS, end_name(END_COMPLETE)"),
    ("a failure is no warning", "end == END_ERROR ? LOG_WARN : LOG_INFO", "LOG_INFO"),
    ("every end is a warning", "end == END_ERROR ? LOG_WARN : LOG_INFO", "LOG_WARN"),
    ("who hears nothing has waited for ever", "t->tally.first ? t->tally.first - t->tally.asked : 0", "t->tally.first - t->tally.asked"),
    ("the first word comes at the start of the clock", "t->tally.first ? t->tally.first - t->tally.asked : 0", "t->tally.first"),
    ("a turn takes no time", "clock_exact() - t->tally.asked)", "t->tally.asked - t->tally.asked)"),
    ("the key is the account", "L_INT(\"key\", t->bill.asker.key)", "L_INT(\"key\", t->bill.asker.account)"),
    ("the account is the key", "L_INT(\"account\", t->bill.asker.account)", "L_INT(\"account\", t->bill.asker.key)"),
    ("nobody's tenant is logged", "L_INT(\"tenant\", t->bill.asker.tenant)", "L_INT(\"tenant\", 0)"),
    ("the first target is logged", "at - t->model->targets", "0"),
    ("the first call is logged", "L_INT(\"calls\", t->plan.calls)", "L_INT(\"calls\", 1)"),
    ("a question's tokens are its answer's", "L_INT(\"prompt_tokens\", t->tally.usage.prompt)", "L_INT(\"prompt_tokens\", t->tally.usage.completion)"),
    ("a call that failed does not say why", "fault_name(came)", "fault_name(FAULT_NONE)"),
    ("a call that failed does not say until when", "L_MS(\"retry_after_ms\", t->advice.after)", "L_MS(\"retry_after_ms\", 0)"),
    ("a call that failed bears our own name", "L_STR(\"model\", at->model),", "L_STR(\"model\", t->model->name),"),
    ("every call that fails is the first", "L_INT(\"call\", t->plan.calls)", "L_INT(\"call\", 0)"),
]

PLAN = [
    ("only the last weight counts", "        sum += m->targets[i].weight;", "        sum = m->targets[i].weight;"),
    ("the dice fall off the edge", "dice >= m->targets[i].weight", "dice > m->targets[i].weight"),
    ("the dice do not get smaller", "        dice -= m->targets[i++].weight;", "        i++;"),
    ("the first is always the first", "sum ? id_pick((uint32_t)sum) : 0", "0"),
    ("those without weights come first", "    for (int weighted = 1; weighted >= 0; weighted--)", "    for (int weighted = 0; weighted <= 1; weighted++)"),
    ("all weights are alike behind the first", "(m->targets[i].weight > 0) == (weighted == 1)", "weighted"),
    ("who cannot do it is asked", "        p->targets[i].out = !target_can(p->targets[i].target, q->asked);", "        ;"),
    ("no pause is too long", ".n = m->n_targets, .max_pause = max_pause", ".n = m->n_targets, .max_pause = UINT64_MAX"),
    ("who is full is asked first", "a_has_room != b_has_room ? a_has_room :", "a_has_room != b_has_room ? b_has_room :"),
    ("room does not matter", "a_has_room != b_has_room ? a_has_room : a->asked < b->asked", "a->asked < b->asked"),
    ("the same is asked before others", "a->asked < b->asked", "false"),
    ("the last of equals is asked", "a->asked < b->asked", "a->asked <= b->asked"),
    ("the end of a turn's own pause is not told", "    if (*until < t->not_before)\n        *until = t->not_before;\n", ""),
    ("nobody makes a pause", "    return may && t->not_before <= now;", "    return may;"),
    ("nobody looks at the standing", "    return may && t->not_before <= now;", "    return t->not_before <= now;"),
    ("a pause is a moment too long", "t->not_before <= now;", "t->not_before < now;"),
    ("a broken one is waited for", "!t->target->standing->broken_until && until", "until"),
    ("the longest pause is too long", "until - now <= p->max_pause", "until - now < p->max_pause"),
    ("who is out is asked", "        if (t->out)\n            continue;\n", ""),
    ("the longest pause of all is made", "when < *until ? when : *until", "when > *until || *until == UINT64_MAX ? when : *until"),
    ("only the last is worth waiting for", "worth = worth || is_worth", "worth = is_worth"),
    ("who was chosen is not asked", "    p->at = (size_t)(best - p->targets);\n", ""),
    ("calls are not counted", "    p->calls++;\n", ""),
    ("a target's calls are not counted", "    p->targets[p->at].asked++;\n", ""),
    ("nobody knows who tries", "    p->tries = standing_begin(standing_of(p));", "    standing_begin(standing_of(p));"),
    ("a beginning closes nothing", "    standing_answered(standing_of(p));\n", ""),
    ("who began to answer still tries", "    standing_answered(standing_of(p));\n    p->tries = false;\n", "    standing_answered(standing_of(p));\n"),
    ("failures are never forgotten", "    standing_finished(standing_of(p));\n", ""),
    ("a full line is joined again", "    p->targets[p->at].out = true;\n", ""),
    ("the pauses do not grow", "        ms *= 2;\n", "        ;\n"),
    ("the pauses grow for ever", "--calls && ms < LONGEST_PAUSE_MS", "--calls"),
    ("the pauses are all alike", "(100 - id_pick(JITTER_PERCENT + 1))", "100"),
    ("a percent of the jitter is lost", "id_pick(JITTER_PERCENT + 1)", "id_pick(JITTER_PERCENT)"),
    ("the first pause is too long", "FIRST_PAUSE_MS = 500", "FIRST_PAUSE_MS = 600"),
    ("the longest pause is 16 seconds", "LONGEST_PAUSE_MS = 8000", "LONGEST_PAUSE_MS = 16000"),
    ("the jitter is half of a pause", "JITTER_PERCENT = 25", "JITTER_PERCENT = 50"),
    ("somebody rests for an hour", "(after < longest ? after : longest)", "after"),
    ("a bad key breaks the provider", "    if (advice->at_once)\n        plan_left(p);\n    else\n        standing_failed", "    standing_failed"),
    ("a bad key leaves the breaker tried for ever", "    if (advice->at_once)\n        plan_left(p);\n    else\n", "    if (!advice->at_once)\n"),
    ("a failure says nothing of the service", "        standing_failed(standing_of(p), s, fault, p->tries, now);", "        ;"),
    ("who failed still tries", "    p->tries = false;\n    t->out", "    t->out"),
    ("one retry too few", "t->asked > s->retries ||", "t->asked >= s->retries ||"),
    ("retries have no end", "t->asked > s->retries ||", ""),
    ("who says not again is asked again", " || advice->not_again ||", " ||"),
    ("what would fail again is asked again", " || !(fault_again(fault) || advice->at_once);", ";"),
    ("with a bad key it is not asked again", "!(fault_again(fault) || advice->at_once)", "!fault_again(fault)"),
    ("another key waits too", "    if (advice->at_once)\n        return;\n", ""),
    ("who says how long is not believed", "advice->after ? advice->after : pause_after(t->asked)", "pause_after(t->asked)"),
    ("what one is told the others are not", "    if (advice->after)\n        rest(p, advice->after, now);\n", ""),
    ("who does not try ends a try", "    if (p->tries)\n        standing_left", "    standing_left"),
    ("an abandoned try is never over", "        standing_left(standing_of(p));\n", "        ;\n"),
]

STANDING = [
    ("owners are not counted", "            s->owners++;\n", ""),
    ("models share a standing", "str_eq(s->provider, provider) && str_eq(s->model, model)", "str_eq(s->provider, provider)"),
    ("providers share a standing", "str_eq(s->provider, provider) && str_eq(s->model, model)", "str_eq(s->model, model)"),
    ("the names are somebody else's", "mem_copy(s.p, s.n), s.n", "s.p, s.n"),
    ("nobody finds it", "    list_push(&all, &s->link);\n", ""),
    ("the gauge outlives the breaker", "    if (s->broken_until)\n        show_breakers(-1);\n", ""),
    ("several try at once", "s->tried ? UINT64_MAX : s->broken_until", "s->broken_until"),
    ("a break is no break", "s->tried ? UINT64_MAX : s->broken_until", "s->tried ? UINT64_MAX : 0"),
    ("nobody rests", "    if (*until < s->rest_until)\n        *until = s->rest_until;\n", ""),
    ("a break is a moment too long", "    return *until <= now;", "    return *until < now;"),
    ("a try is not remembered", "    s->tried = true;\n", ""),
    ("nobody is told to try", "model));\n    return true;", "model));\n    return false;"),
    ("everybody tries", "    if (!s->broken_until)\n        return false;\n    s->tried", "    s->tried"),
    ("what was closed is closed again", "    if (!s->broken_until)\n        return;\n", ""),
    ("it stays broken", "    s->broken_until = 0;\n", ""),
    ("the next break begins where the last one ended", "    s->break_time = 0;\n", ""),
    ("a try that succeeds is never over", "    s->break_time = 0;\n    s->tried = false;\n", "    s->break_time = 0;\n"),
    ("a closed breaker is shown", "    show_breakers(-1);\n    LOG(LOG_INFO, L_MSG(\"breaker closed\")", "    LOG(LOG_INFO, L_MSG(\"breaker closed\")"),
    ("an answer closes nothing", "    close_breaker(s);\n", ""),
    ("an answer ends no rest", "    s->rest_until = 0;\n", ""),
    ("failures are not in a row", "    s->failures = 0;\n", ""),
    ("a break does not double", "s->break_time * 2", "s->break_time"),
    ("a break doubles for ever", "    if (s->break_time > time * BREAK_TIMES_MAX)\n        s->break_time = time * BREAK_TIMES_MAX;\n", ""),
    ("an open breaker is shown twice", "    if (!s->broken_until)\n        show_breakers(1);", "    show_breakers(1);"),
    ("an open breaker is not shown", "        show_breakers(1);\n", "        ;\n"),
    ("a try that fails is never over", "    s->broken_until = now + s->break_time;\n    s->tried = false;\n", "    s->broken_until = now + s->break_time;\n"),
    ("breaks are not counted", "    metric_add(METRIC_BREAKS, 1);\n", ""),
    ("what a client did counts", "    if (!fault_breaks(fault)) {", "    if (0) {"),
    ("a try that says nothing is never over", "        if (tries)\n            standing_left(s);\n        return;", "        return;"),
    ("somebody else's failure ends a try", "        if (tries)\n            standing_left(s);", "        standing_left(s);"),
    ("failures are not counted", "    s->failures++;\n", ""),
    ("a failed try does not break", "    if (tries || (!s->broken_until", "    if ((!s->broken_until"),
    ("calls from before break it again", "!s->broken_until && p->breaker_failures", "p->breaker_failures"),
    ("without a limit it breaks at once", "!s->broken_until && p->breaker_failures && s", "!s->broken_until && s"),
    ("one failure too many is forgiven", "s->failures >= p->breaker_failures", "s->failures > p->breaker_failures"),
    ("whoever leaves still tries", "{\n    s->tried = false;\n}", "{\n}"),
    ("nobody rests though it was asked", "    s->rest_until = until;\n", ""),
]

KEYS = [
    ("always the first key", "(p->next_key + i) % p->n_keys", "i"),
    ("the first that comes, awake or not", "!best || (best->rest_until > now && k->rest_until < best->rest_until)", "!best"),
    ("who rested first is asked before who is awake", "best->rest_until > now && k->rest_until", "k->rest_until"),
    ("who wakes last is asked", "k->rest_until < best->rest_until", "k->rest_until > best->rest_until"),
    ("a key has no end of its turn", "    p->next_key = (size_t)(best - p->keys + 1) % p->n_keys;\n", ""),
    ("a key sleeps a moment too long", "p->keys[i].rest_until <= now", "p->keys[i].rest_until < now"),
    ("somebody is always awake", "    return false;\n}\n\nbool keys_judge", "    return true;\n}\n\nbool keys_judge"),
    ("nobody is ever awake", "            return true;\n", "            return false;\n"),
    ("a refused key is asked again", "fault == FAULT_SERVICE_DENIED", "fault == FAULT_CUT"),
    ("a key that is used up is asked again", "fault == FAULT_SERVICE_BUSY", "fault == FAULT_CUT"),
    ("a key that is used up is not believed", "(after ? after : USED_UP_REST_S * CLOCK_S)", "USED_UP_REST_S * CLOCK_S"),
    ("a refused key rests for as long as a used up one", "REFUSED_REST_S = 300", "REFUSED_REST_S = 30"),
    ("every status speaks against the key", "    else\n        return false;\n", ""),
]

ADVICE = [
    ("a day is not too long", "seconds <= DAY_S ? seconds", "seconds < DAY_S ? seconds"),
    ("nothing is too long", "seconds <= DAY_S ? seconds * CLOCK_S : 0", "seconds * CLOCK_S"),
    ("dates are not read", " && http_read_date(value, &date) &&", " && 0 &&"),
    ("x-should-retry: true is not read", "    if (str_eq_nocase(should_retry, STR(\"true\")))\n        return true;\n", ""),
    ("x-should-retry: false is not read", "    if (str_eq_nocase(should_retry, STR(\"false\")))\n        return false;\n", ""),
    ("a conflict is for ever", "status == 409 || ", ""),
    ("server errors are for ever", " || status >= 500", ""),
    ("any number of milliseconds will do", " &&\n        ms <= (uint64_t)DAY_S * 1000)", ")"),
    ("milliseconds are seconds", "        a.after = ms * CLOCK_MS;", "        a.after = ms * CLOCK_S;"),
    ("milliseconds are not read", "str_to_u64(http_fields_nth(fields, STR(\"retry-after-ms\"), 0), &ms)", "0"),
    ("seconds since the epoch are milliseconds", "clock_wall_ms() / 1000", "clock_wall_ms()"),
]

GATE = [
    ("a place is not counted", "    p->state = PLACE_HELD;\n    p->gate->held++;", "    p->state = PLACE_HELD;"),
    ("a place is not given back", "        p->gate->held--;\n", "        ;\n"),
    ("the line is not served", "    p->state = PLACE_NONE;\n    serve_line(p->gate);", "    p->state = PLACE_NONE;"),
    ("patience has no end", "    deadline_arm(&p->patience, clock_now() + p->gate->max_wait);\n", ""),
    ("the line has no end", "g->line.n < g->max_waiting && g->max_wait", "g->max_wait"),
    ("whoever leaves the line is still in it", "    list_take(&p->gate->line, &p->link);\n", ""),
    ("whoever was served is refused later", "    deadline_disarm(&p->patience);\n", ""),
    ("whoever left the line still waits", "    deadline_disarm(&p->patience);\n    p->state = PLACE_NONE;\n", "    deadline_disarm(&p->patience);\n"),
    ("one place too many", "while (g->line.n && g->held < g->max)", "while (g->line.n && g->held <= g->max)"),
    ("more places serve only one", "while (g->line.n && g->held < g->max)", "if (g->line.n && g->held < g->max)"),
    ("who was served is not told", "        p->told(p, true);\n", ""),
    ("who leaves the line is told", "        leave_line(p);\n    else", "        leave_line(p), p->told(p, false);\n    else"),
    ("the owner is not shown who is served", "        p->told(p, true);\n    }\n    show(g);\n", "        p->told(p, true);\n    }\n"),
    ("more places do not serve the line", "    g->max_wait = max_wait;\n    serve_line(g);", "    g->max_wait = max_wait;"),
    ("who comes overtakes the line", "    return g->line.n == 0 && g->held < g->max;", "    return g->held < g->max;"),
    ("there is a place more than there is", "    return g->line.n == 0 && g->held < g->max;", "    return g->line.n == 0 && g->held <= g->max;"),
    ("lost patience is not shown", "    leave_line(p);\n    show(p->gate);\n", "    leave_line(p);\n"),
    ("who lost patience holds a place", "    p->told(p, false);\n", "    p->told(p, true);\n"),
    ("without patience they wait", "g->line.n < g->max_waiting && g->max_wait", "g->line.n < g->max_waiting"),
    ("the line is one longer", "g->line.n < g->max_waiting", "g->line.n <= g->max_waiting"),
    ("who comes is not shown", "        stand_in_line(p);\n    show(g);\n", "        stand_in_line(p);\n"),
    ("who waits is refused as well", "    if (p->state != PLACE_WAITING)\n        told", "    told"),
    ("a place is given back twice", "    if (p->state == PLACE_NONE)\n        return;\n", ""),
]

MUTANTS = {
    "src/turn/turn.c": TURN,
    "src/turn/turn_log.c": LOG,
    "src/turn/bill.c": BILL,
    "src/provider/plan.c": PLAN,
    "src/provider/standing.c": STANDING,
    "src/provider/keys.c": KEYS,
    "src/provider/advice.c": ADVICE,
    "src/base/gate.c": GATE,
}

FLAGS = ["-std=c11", "-D_GNU_SOURCE", f"-I{ROOT}/src", f"-I{ROOT}/test", f"-I{ROOT}/test/unit",
         "-O1", "-g", "-w", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
LIBS = [BUILD / "librunnel_core.a", "-lcmocka", "-lpq", "-luv", "-lyaml", "-lllhttp", "-lyyjson",
        "-lwslay", "-lmbedtls", "-lmbedx509", "-lmbedcrypto", "-lm"]


def compile_file(source, out, *flags):
    subprocess.run(["cc", *FLAGS, *flags, "-c", source, "-o", out], check=True)
    return out


def main_of(test):
    return test.replace("/", "_") + "_main"


def compile_tests(pool, tmp):
    """All the tests as one program, which saves linking each of them for each row."""
    mains = [main_of(test) for test in TESTS]
    every = tmp / "every.c"
    every.write_text("".join(f"int {name}(void);\n" for name in mains)
                     + f"int main(void)\n{{\n    return {' || '.join(f'{n}()' for n in mains)};\n}}\n")
    jobs = [pool.submit(compile_file, every, tmp / "every.o")]
    for name in TESTS + HELPERS:
        out = tmp / (name.replace("/", "_") + ".o")
        jobs.append(pool.submit(compile_file, ROOT / f"test/{name}.c", out, f"-Dmain={main_of(name)}"))
    return [job.result() for job in jobs]


def pass_with(objects, program):
    """Do all the tests pass?"""
    subprocess.run(["cc", *FLAGS, "-o", program, *objects, *LIBS], check=True)
    try:
        run = subprocess.run([program], cwd=ROOT, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, timeout=HANGS_S)
        return run.returncode == 0
    except subprocess.TimeoutExpired:
        return False


def complaint(tests, directory, file, row):
    """What is wrong with one row; None if a test has noticed."""
    what, old, new = row
    text = (ROOT / file).read_text()
    if text.count(old) != 1:
        return f"{file}: not in the source any more (or twice): {what}"
    directory.mkdir()
    (directory / "broken.c").write_text(text.replace(old, new))
    broken = compile_file(directory / "broken.c", directory / "broken.o")
    alive = pass_with([*tests, broken], directory / "program")
    (directory / "program").unlink()
    return f"{file}: nobody noticed: {what}" if alive else None


def main():
    with tempfile.TemporaryDirectory() as tmp, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        tmp = pathlib.Path(tmp)
        tests = compile_tests(pool, tmp)
        if not pass_with(tests, tmp / "whole"):
            sys.exit("the tests fail without any mutant")
        rows = [(file, row) for file, rows in MUTANTS.items() for row in rows]
        jobs = [pool.submit(complaint, tests, tmp / str(i), *row) for i, row in enumerate(rows)]
        complaints = list(filter(None, (job.result() for job in jobs)))
    print(*complaints, f"{len(rows) - len(complaints)} passed, {len(complaints)} failed", sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
