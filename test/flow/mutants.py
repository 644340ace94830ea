#!/usr/bin/env python3
"""Does the flow test notice when the turn is wrong?

Each row breaks src/turn/turn.c or admit.c in one place; the flow test, built with the
broken copy, must fail (or hang). A row whose text is no longer in the source is an error
too: move it along with the code. Run after `cmake --build --preset dev`.
"""
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/dev"

MUTANTS = [  # file, what it breaks, the text, what stands there instead
    ("turn", "a result does not end the wait", "    t->waiting = false;\n    t->came = came;", "    t->came = came;"),
    ("turn", "the last reason stands", "    if (t->interrupt)\n        return;\n    t->interrupt = why;", "    t->interrupt = why;"),
    ("turn", "an interrupt leaves no note", "    t->interrupt = why;\n    note_leave(&t->note);", "    t->interrupt = why;"),
    ("turn", "the limit is not armed", "    deadline_arm(&t->limit, clock_now() + t->catalog->settings->turns.max_time);\n", ""),
    ("turn", "the limit outlives the turn", "    deadline_disarm(&t->limit);\n", ""),
    ("turn", "a full reader is not waited for", "    bool                       pause = t->full > 0;", "    bool                       pause = false;"),
    ("turn", "a full reader is never let go on", "    k->turn->full--;\n", ""),
    ("turn", "hold is counted twice", "    if (k->full)\n        return;\n", ""),
    ("turn", "go on is counted twice", "    if (!k->full)\n        return;\n", ""),
    ("turn", "a pause outlives its call", "    t->paused = false;\n    t->call = p->ops->start", "    t->call = p->ops->start"),
    ("turn", "a new call is not paused for a full reader", "at->model, out);\n    turn_pace(t);", "at->model, out);"),
    ("turn", "nobody listens and it goes on", "    if (t->sinks.n == 0)\n        turn_interrupt(t, FAULT_CLIENT_GONE);\n", ""),
    ("turn", "a leaving reader is not closed", "    k->turn = NULL;\n    k->ops->close(k);", "    k->turn = NULL;"),
    ("turn", "a call outlives its last word", "        t->call = NULL;                       /* gone with its last word        */", "        ;"),
    ("turn", "events are told after the interrupt", "    if (t->interrupt)\n        return;                               /* on the way out already         */\n", ""),
    ("turn", "an error is told at once", "        turn_resume(t, ev->fault);            /* told once nobody else can answer */\n        return;", "        turn_resume(t, ev->fault);\n        turn_tell(t, ev);\n        return;"),
    ("turn", "the finish is told at once", "        turn_resume(t, FAULT_NONE);\n    } else {\n        turn_tell(t, ev);", "        turn_resume(t, FAULT_NONE);\n        turn_tell(t, ev);\n    } else {\n        turn_tell(t, ev);"),
    ("turn", "the finish reason is forgotten", "        t->finish = ev->finish;\n", ""),
    ("turn", "a refused turn is answered", "    return came ? STEP_GONE : STEP_ANSWER;", "    return STEP_ANSWER;"),
    ("turn", "a refusal is no fault", "    t->fault = came;\n    return came ?", "    return came ?"),
    ("turn", "a place is never given back", "    admit_give_back(&t->place);\n    deadline_disarm", "    deadline_disarm"),
    ("turn", "a busy provider is asked", "p->running >= p->settings->max_streams", "p->running > p->settings->max_streams"),
    ("turn", "retry after the first word", "    if (silent && another", "    if (another"),
    ("turn", "retry past the last target", "    bool another = t->target + 1 < t->model->n_targets;", "    bool another = t->target < t->model->n_targets;"),
    ("turn", "retry whatever the fault", " && fault_may_retry(came)", " && came"),
    ("turn", "the same target again", "        t->target++;\n", ""),
    ("turn", "the fault is forgotten", "    t->fault = came;\n    return STEP_GONE;", "    return STEP_GONE;"),
    ("turn", "an abandoned call goes on", "    if (t->call)\n        t->model->targets[t->target].provider->ops->cancel(t->call);\n", ""),
    ("turn", "an interrupted turn starts a step", "    if (t->interrupt)\n        turn_resume(t, t->interrupt);\n    else\n        script", "        script"),
    ("turn", "an interrupt drops nothing", "        script[t->step].drop(t);\n", ""),
    ("turn", "an interrupt is taken for a good end", "        t->came = t->interrupt;", "        t->came = FAULT_NONE;"),
    ("turn", "the last word is not flushed", "    turn_tell(t, &last);\n    turn_flush(t);", "    turn_tell(t, &last);"),
    ("turn", "the last word is always good", "    if (t->fault)\n        last =", "    if (0)\n        last ="),
    ("turn", "the catalog is not dropped", "    catalog_drop(t->catalog);\n", ""),
    ("turn", "the catalog is not retained", "catalog_retain(offer_catalog())", "offer_catalog()"),
    ("turn", "an answer may be of any size", "        turn_interrupt(t, FAULT_ANSWER_TOO_BIG);\n", "        ;\n"),
    ("turn", "the turn is not counted", "    metric_add_labelled(METRIC_TURNS, end_name(end), \"\");\n", ""),
    ("turn", "the question leaks", "    question_free(t->question);\n", ""),
    ("admit", "a place is not counted", "    p->state = PLACE_HELD;\n    running++;", "    p->state = PLACE_HELD;"),
    ("admit", "a place is not given back", "        running--;\n", "        ;\n"),
    ("admit", "the line is not served", "    p->state = PLACE_NONE;\n    serve_line();", "    p->state = PLACE_NONE;"),
    ("admit", "patience has no end", "    deadline_arm(&p->patience, clock_now() + max_wait);\n", ""),
    ("admit", "the line has no end", "line.n < max_waiting && max_wait", "max_wait"),
    ("admit", "whoever leaves the line is still in it", "    list_take(&line, &p->link);\n", ""),
]

FLAGS = ["-std=c11", "-D_GNU_SOURCE", f"-I{ROOT}/src", "-O1", "-g", "-w",
         "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
LIBS = [BUILD / "librunnel_core.a", "-lcmocka", "-luv", "-lyaml", "-lllhttp", "-lyyjson", "-lm"]


def build(out, sources):
    subprocess.run(["cc", *FLAGS, "-o", out, *sources, *LIBS], check=True)


def survives(program):
    try:
        run = subprocess.run([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        return run.returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main():
    caught = missed = 0
    with tempfile.TemporaryDirectory() as tmp:
        tmp = pathlib.Path(tmp)
        test = tmp / "test.o"
        subprocess.run(["cc", *FLAGS, "-c", ROOT / "test/flow/turn_test.c", "-o", test], check=True)
        build(tmp / "whole", [test])
        if not survives(tmp / "whole"):
            sys.exit("the flow test fails without any mutant")
        for name, what, old, new in MUTANTS:
            text = (ROOT / f"src/turn/{name}.c").read_text()
            if text.count(old) != 1:
                print(f"not in the source any more (or twice): {what}")
                missed += 1
                continue
            (tmp / f"{name}.c").write_text(text.replace(old, new))
            build(tmp / "mutant", [test, tmp / f"{name}.c"])
            if survives(tmp / "mutant"):
                print(f"nobody noticed: {what}")
                missed += 1
            else:
                caught += 1
    print(f"{caught} passed, {missed} failed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
