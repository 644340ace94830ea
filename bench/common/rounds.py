"""rounds.py - what benchmarks share that put servers in turns before the same model service.

The service (bench/relay/upstream.c) and the client run on CLIENT_CORE, the server alone on
SERVER_CORE. One run: a service, a server, a client, all started anew. One round: a run of
each server, one right after the other. The table holds medians over the rounds, and ratios
that are medians of the ratios of neighbouring runs.
"""

import json
import pathlib
import subprocess
import sys
import time
import urllib.request

from parts import (CLIENT_CORE, HERE, ROOT, CannotRun, Client, Scraper, Server, build_program,
                   core_busy, number, resident_kib, summary)

RELAY = ROOT / "bench" / "relay"
QUIET = 0.25                                  # cores that others may take in a steady phase


# ---- the service -------------------------------------------------------------------

def build_upstream():
    return build_program("upstream", [RELAY, HERE],
                         [RELAY / "upstream.c", RELAY / "pieces.c", HERE / "question.c"],
                         ["-lssl", "-lcrypto"])


def start_upstream(program, folder, pace, certificate=()):
    command = [program, "--pace", str(pace)]
    if certificate:
        command += ["--tls", *certificate]
    server = Server(command, folder / "upstream.log", CLIENT_CORE)

    def ready():
        words = server.log.read_text(errors="replace").rstrip()
        return words.endswith(".") and words.rstrip(".").split()

    told = server.wait_for(ready, "the fake service")
    server.plain = server.port = int(told[2])
    if certificate:
        server.port = int(told[4])
    return server


def count_at(upstream):
    with urllib.request.urlopen(f"http://127.0.0.1:{upstream.plain}/", timeout=10) as answer:
        return json.load(answer)


# ---- one run -----------------------------------------------------------------------

class Stage:
    """What stands between the client and the service: where it is asked (door), whether it
    can be scraped, how the client must ask, first to warm it up, and whose CPU is counted
    too, by name: processes with their children."""

    def __init__(self, server, door, is_runnel, options=(), warm_options=(), families=None):
        self.server, self.door, self.is_runnel = server, door, is_runnel
        self.options, self.warm_options = list(options), list(warm_options)
        self.families = families or {}


def words_for(plan):
    """Enough to outlast the ramp, the warm-up and the window; slow starters want more slack."""
    lasting = plan["streams"] / plan["ramp"] + plan["warm"] + plan["window"] + plan.get("slack", 4)
    return round(lasting * plan["pace"])


def client_options(plan, stage, upstream):
    options = ["--stamped", "--streams", plan["streams"], "--tokens", plan["words"],
               "--ramp", plan["ramp"], "--pace", plan["pace"], "--model", "gpt-4o",
               "--warm", plan["warm"], "--window", plan["window"], "--timeout", 300]
    if not plan["pace"]:
        options.append("--repeat")
    for pid in {stage.server.pid, upstream.pid}:
        options += ["--watch", pid]
    for pid in stage.families.values():
        options += ["--watch-family", pid]
    return [str(o) for o in options + stage.options]


def warm_up(programs, stage):
    """A few answers, so that neither code nor memory nor a TLS session is new."""
    done = subprocess.run([programs["client"], "--stamped", "--streams", "5", "--tokens", "3",
                           "--ramp", "20", "--model", "gpt-4o", *map(str, stage.warm_options),
                           f"127.0.0.1:{stage.door}"], capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotRun(f"the first answers failed: {done.stdout}{done.stderr}")


def watch_window(client, server, scraper, upstream, seconds):
    """Looks at the server while the window is open: peak memory and two scrapes."""
    seen = dict(peak_kib=0, scrapes=[], busy=None)
    if not client.wait_for("window open", 180):
        return seen
    before, opened = core_busy(), time.monotonic()
    count_at(upstream)
    due = [opened + seconds * 0.2, opened + seconds * 0.8]
    line = ""
    while line == "":
        seen["peak_kib"] = max(seen["peak_kib"], resident_kib(server.pid, "Pss"))
        if due and time.monotonic() >= due[0]:
            due.pop(0)
            if scraper:
                seen["scrapes"].append(scraper.counters())
        line = client.next_line(0.25)
    after = core_busy()
    seen["busy"] = {core: after[core] - before[core] for core in after}
    seen["late_max_ms"] = count_at(upstream)["late_max_ms"]
    return seen


def run_between(plan, programs, upstream, stage):
    """The figures of one run; its servers stay up."""
    server = stage.server
    warm_up(programs, stage)
    scraper = Scraper(server.port) if stage.is_runnel else None
    own = scraper.own_allocations() if scraper else 0
    time.sleep(0.3)
    idle, counted = resident_kib(server.pid, "Pss"), count_at(upstream)
    client = Client(programs["client"], stage.door, client_options(plan, stage, upstream))
    try:
        seen = watch_window(client, server, scraper, upstream, plan["window"])
        report = client.report()
    finally:
        client.stop()
    f = counts_of(report, idle, (counted, count_at(upstream)), client.notes)
    window = report["window"]
    if window and not window["cut_short"] and window["contents"]:
        add_figures(f, plan, report, seen, own, stage, upstream)
    return f


def counts_of(report, idle, counts, notes):
    before, after = counts
    f = dict(lost=report["lost"], errors=report["errors"], sent=after["words"] - before["words"],
             received=report["words"], completed=report["completed"], streams=report["streams"],
             report=report, notes=notes, idle_kib=idle, whole=False, cipher=after["cipher"],
             faults=[])
    shaken = after["handshakes"] - before["handshakes"]
    if shaken:
        f["resumed"] = (after["resumed"] - before["resumed"]) / shaken
        f["handshakes"] = shaken
    return f


def add_figures(f, plan, report, seen, own, stage, upstream):
    window = report["window"]
    words, seconds = window["contents"], window["seconds"]
    used, service = (window["watch"][str(s.pid)] for s in (stage.server, upstream))
    mine = used + window["client_cpu_seconds"]
    mine += service if stage.server is not upstream else 0
    f["whole"] = True
    f["words_per_second"] = words / seconds
    f["us"], f["share"] = used / words * 1e6, used / seconds
    for name, pid in stage.families.items():
        theirs = window["watch"][str(pid)]
        f[name + "_us"], f[name + "_busy"] = theirs / words * 1e6, theirs / seconds
        mine += theirs
    f["service_busy"], f["client_busy"] = service / seconds, window["client_cpu_seconds"] / seconds
    f["delay_p50"], f["delay_p99"] = (report["delay_ms"][p] for p in ("p50", "p99"))
    f["late_max_ms"] = seen.get("late_max_ms")
    f["peak_kib"] = seen["peak_kib"]
    f["kib_per_stream"] = (seen["peak_kib"] - f["idle_kib"]) / plan["streams"]
    if seen["busy"]:
        f["others"] = max(0.0, sum(seen["busy"].values()) - mine) / seconds
    if len(seen["scrapes"]) == 2:
        (a0, e0), (a1, e1) = seen["scrapes"]
        if e1 > e0:
            f["allocations"] = max(0.0, a1 - a0 - own) / (e1 - e0)


# ---- rounds ------------------------------------------------------------------------

def is_disturbed(rows):
    return any(r.get("others", 0) > QUIET for r in rows)


def faults_of(rows):
    for r in rows:
        if r["lost"] or r["errors"]:
            yield (f"{r['lost']} lost, {r['errors']} errors "
                   f"{json.dumps(r['report']['errors_by_kind'])} {'; '.join(r['notes'])}")
        elif r["sent"] != r["received"] or r["completed"] != r["streams"]:
            yield (f"{r['sent']} words sent, {r['received']} received; "
                   f"{r['streams']} questions, {r['completed']} whole answers")
        elif not r["whole"]:
            yield "the steady phase was not whole; no figures"
        yield from r["faults"]


def measure_round(who, run_once, again, title):
    """All once, one right after the other; again when the machine was not ours. A round in
    which something was lost is never taken back."""
    for left in range(again, -1, -1):
        rows = []
        for name in who:
            print(f"{title}: {name}", file=sys.stderr, flush=True)
            rows.append(run_once(name))
        if not is_disturbed(rows) or left == 0 or list(faults_of(rows)):
            return rows
        print(f"{title}: disturbed, once more", file=sys.stderr, flush=True)


def measure_rounds(who, run_once, rounds, again, title):
    results = {name: [] for name in who}
    for i in range(1, rounds + 1):
        rows = measure_round(who, run_once, again, f"{title}, round {i} of {rounds}")
        for name, row in zip(who, rows):
            results[name].append(row)
    return results


def complaints(results):
    for name, runs in results.items():
        for who, rows in runs.items():
            for i, r in enumerate(rows, 1):
                for fault in faults_of([r]):
                    yield f"{name}, {who}, round {i}: {fault}"


def warnings(results, plans):
    for name, runs in results.items():
        rows = [r for rows in runs.values() for r in rows]
        core1 = [sum(v for k, v in r.items() if k.endswith("_busy")) for r in rows]
        if max(core1) > 0.9 and plans[name]["pace"]:
            yield f"{name}: core {CLIENT_CORE} was full: delays tell about the client's queue"
        if is_disturbed(rows):
            yield f"{name}: others took much of the cores: measure again when it is quiet"
        if any((r.get("late_max_ms") or 0) > 100 for r in rows):
            yield f"{name}: the service was more than 100 ms late with a word"


# ---- the table ---------------------------------------------------------------------

def ratios(runs, pair, key):
    """One over the other, round by round."""
    above, below = pair.split("/")
    values = [dict(ratio=a[key] / b[key])
              for a, b in zip(runs.get(above, []), runs.get(below, []))
              if a.get(key) is not None and b.get(key)]
    return summary(values, "ratio")


def spread(s, places):
    if s is None:
        return "-"
    return f"{number(s['median'], places)} [{number(s['min'], places)}..{number(s['max'], places)}]"


def verdict(limits, seen):
    """limits: (column or pair, <= or >=, how much)."""
    said = []
    for of, way, limit in limits:
        text = f"{way} {limit:g}" + (f" x {of.split('/')[1]}" if "/" in of else "")
        if seen.get(of):
            median = seen[of]["median"]
            is_kept = median >= limit if way == ">=" else median <= limit
            text += f": {'kept' if is_kept else 'MISSED'}"
        said.append(text)
    return ", ".join(said)


SUMS = ["lost", "errors", "received", "completed"]


def print_table(title, rows, runs, pairs, sums=SUMS):
    """rows: (label, key, places, limits). pairs: "above/below", whose ratios are shown."""
    print(f"\n{title}")
    print(f"    {'':<22}" + "".join(f"{who:<28}" for who in runs) +
          "".join(f"{pair:<22}" for pair in pairs) + "budget")
    table = {}
    for label, key, places, limits in rows:
        seen = {who: summary(r, key) for who, r in runs.items()}
        seen.update({pair: ratios(runs, pair, key) for pair in pairs})
        said = verdict(limits, seen)
        table[key] = dict(seen, budget=said, label=label, places=places)
        cells = [f"{spread(seen[who], places):<27} " for who in runs]
        cells += [f"{spread(seen[pair], 2):<21} " for pair in pairs]
        print((f"    {label:<22}" + "".join(cells) + said).rstrip())
    for key in sums:
        all_of = {who: sum(r[key] for r in rs) for who, rs in runs.items()}
        table[key] = all_of
        print(f"    {key if key != 'received' else 'words received':<22}" +
              "".join(f"{all_of[w]:<28,}" for w in runs).rstrip())
    return table


def command_line():
    """As one would type it in the root of the tree."""
    program = pathlib.Path(sys.argv[0]).resolve()
    shown = program.relative_to(ROOT) if program.is_relative_to(ROOT) else program.name
    return " ".join([str(shown), *sys.argv[1:]])


def conclude_plainly(path, bad, facts, notes=()):
    """Writes all figures down and says what was wrong; the exit code."""
    facts = dict(facts, command=command_line(), notes=list(notes), bad=bad)
    path.write_text(json.dumps(facts, indent=1) + "\n")
    shown = path.resolve()
    print(f"\nall figures: {shown.relative_to(ROOT) if shown.is_relative_to(ROOT) else shown}")
    for line in notes:
        print("note: " + line)
    for line in bad:
        print("FAILED: " + line)
    return 1 if bad else 0


def conclude(path, results, plans, facts):
    rounds = max(len(rows) for runs in results.values() for rows in runs.values())
    return conclude_plainly(path, list(complaints(results)),
                            dict(facts, plans=plans, runs=results, rounds=rounds),
                            list(warnings(results, plans)))
