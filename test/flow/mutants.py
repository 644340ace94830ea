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

TESTS = ["flow/turn_test", "flow/steps_test", "flow/policy_test", "flow/breaker_test"]
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
    ("a refused turn is answered", "    return came ? STEP_GONE : STEP_CHOOSE;", "    return STEP_CHOOSE;"),
    ("a refusal is no fault", "    t->fault = came;\n    return came ?", "    return came ?"),
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
    ("the turn is not counted", "    metric_add_labelled(METRIC_TURNS, end_name(end), \"\");\n", ""),
    ("the question leaks", "    question_free(t->question);\n", ""),
]

GATE = [
    ("a place is not counted", "    p->state = PLACE_HELD;\n    p->gate->held++;", "    p->state = PLACE_HELD;"),
    ("a place is not given back", "        p->gate->held--;\n", "        ;\n"),
    ("the line is not served", "    p->state = PLACE_NONE;\n    serve_line(p->gate);", "    p->state = PLACE_NONE;"),
    ("patience has no end", "    deadline_arm(&p->patience, clock_now() + p->gate->max_wait);\n", ""),
    ("the line has no end", "g->line.n < g->max_waiting && g->max_wait", "g->max_wait"),
    ("whoever leaves the line is still in it", "    list_take(&p->gate->line, &p->link);\n", ""),
]

MUTANTS = {
    "src/turn/turn.c": TURN,
    "src/base/gate.c": GATE,
}

FLAGS = ["-std=c11", "-D_GNU_SOURCE", f"-I{ROOT}/src", f"-I{ROOT}/test", f"-I{ROOT}/test/unit",
         "-O1", "-g", "-w", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
LIBS = [BUILD / "librunnel_core.a", "-lcmocka", "-luv", "-lyaml", "-lllhttp", "-lyyjson",
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
