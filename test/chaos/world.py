"""world.py - the processes of the scene: PostgreSQL, the provider, runnel with its workers."""

import asyncio
import collections
import ctypes
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

from judge import Row
from talk import SECRET

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCRIPT = ROOT / "deps" / "cluster.sh"
WORKERS = 2
CRASH = re.compile(r"[Aa]ssert|Sanitizer|runtime error|core dumped")

TURNS = """\
SELECT t.idempotency_key, t.chat, t.answer, t.state, m.state, t.fault, m.content,
    extract(epoch FROM t.created_at), extract(epoch FROM t.ended_at)
FROM runnel.turn t LEFT JOIN runnel.message m ON m.tenant = t.tenant AND m.id = t.answer;
"""
MESSAGES = "SELECT chat, id, role, state, content FROM runnel.message ORDER BY chat, seq;"
STREAMING = """\
SELECT (SELECT count(*) FROM runnel.turn WHERE state = 'streaming') +
    (SELECT count(*) FROM runnel.message WHERE state = 'streaming');
"""


class CannotRun(Exception):
    pass


def settings(database, provider, heartbeat):
    way = (f"kind: openai, base_url: \"http://127.0.0.1:{provider}/v1\", api_key: none, "
           "max_connections: 20000, first_timeout: 6s, idle_timeout: 6s, keep_timeout: 5s, "
           "breaker_failures: 20, breaker_time: 1s")
    return f"""\
listen: 127.0.0.1:0
workers: {WORKERS}
drain_seconds: 5s
http: {{max_connections: 20000}}
stream: {{heartbeat: {heartbeat}s}}
turns: {{max_running: 20000}}
database: {{url: "{database}"}}
access: {{jwt_key: "{SECRET}", new_accounts: approved}}
dialects: {{xcx: {{model: chaos}}}}
providers:
  - {{name: first, {way}}}
  - {{name: second, {way}}}
models:
  - {{name: chaos, targets: [{{provider: first}}, {{provider: second}}]}}
"""


def dies_with_us():
    """In a child: if this script is killed, what it started ends, too."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


# ---- what a process uses ---------------------------------------------------------------

def resident_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Rss:"):
                return int(line.split()[1])
    raise ProcessLookupError(pid)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# ---- PostgreSQL --------------------------------------------------------------------------

class Cluster:
    """Of its own, without a port. What it said is stored survives its processes."""

    def __init__(self, folder):
        self.folder = folder
        self.outages = []

    def start(self):
        subprocess.Popen([SCRIPT, "after", str(os.getpid()), "remove", self.folder],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)
        done = subprocess.run([SCRIPT, "start", self.folder, "--socket-only", "--fast",
                               "shared_buffers=256MB", "max_wal_size=4GB"],
                              capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(f"no database: {done.stderr}")
        self.url, self.bin = self.say("url", self.folder), self.say("bin")

    def say(self, *command):
        return subprocess.run([SCRIPT, *command], capture_output=True, text=True,
                              check=True).stdout.strip()

    def ask(self, sql):
        """Rows of texts; none of ours has a tab or a line feed in it."""
        done = subprocess.run([f"{self.bin}/psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1",
                               self.url], input=sql, capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(f"psql: {done.stderr}")
        return [line.split("\t") for line in done.stdout.split("\n")[:-1]]

    async def do(self, *command):
        nothing = asyncio.subprocess.DEVNULL
        child = await asyncio.create_subprocess_exec(SCRIPT, *command, stdin=nothing,
                                                     stdout=nothing)
        if await child.wait():
            raise CannotRun(f"{SCRIPT} {command[0]} failed")

    async def restart(self, away):
        """As after a crash, and gone for `away` seconds."""
        down = time.time()
        await self.do("stop", self.folder, "immediate")
        await asyncio.sleep(away)
        await self.do("start", self.folder)
        self.outages.append((down, time.time()))

    def rows(self):
        return {r[0]: Row(int(r[1]), int(r[2]), r[3], r[4], r[5], r[6], float(r[7]),
                          float(r[8]) if r[8] else None) for r in self.ask(TURNS)}

    def messages(self):
        found = collections.defaultdict(list)
        for chat, ident, role, state, content in self.ask(MESSAGES):
            found[int(chat)].append((int(ident), role, state, content))
        return dict(found)

    def remove(self):
        subprocess.run([SCRIPT, "remove", self.folder], check=False)


# ---- the provider ------------------------------------------------------------------------

class Provider:
    def __init__(self, folder, pace, seed):
        self.file, self.child, self.cpu = folder / "calls", None, 0
        self.options = ["--pace", str(pace), "--seed", str(seed), "--calls", self.file]

    def start(self):
        self.child = subprocess.Popen([sys.executable, HERE / "provider.py", *self.options],
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      preexec_fn=dies_with_us)
        self.port = int(self.child.stdout.readline() or 0)
        if not self.port:
            raise CannotRun("the provider did not start")

    def strike(self):
        self.child.send_signal(signal.SIGUSR1)

    def stop(self):
        if self.child and self.child.poll() is None:
            self.cpu = cpu_seconds(self.child.pid)
            self.child.terminate()
            self.child.wait(20)

    def calls(self):
        """Of each question: what was said in each of its calls, and how it ended."""
        found = collections.defaultdict(dict)
        for line in self.file.read_text().splitlines():
            number, call, said, how = line.split(" ")
            found[int(number)][int(call)] = (int(said), how)
        return {number: [calls[n] for n in sorted(calls)] for number, calls in found.items()}


# ---- runnel ------------------------------------------------------------------------------

class Log:
    """The service's own file, read as it grows."""

    def __init__(self, file):
        self.file, self.at, self.rest = file, 0, ""
        self.counts = collections.Counter()   # by message
        self.bad = collections.defaultdict(list)
        self.workers, self.address = {}, None

    def look(self):
        with open(self.file, errors="replace") as f:
            f.seek(self.at)
            text = self.rest + f.read()
            self.at = f.tell()
        *lines, self.rest = text.split("\n")
        for line in lines:
            self.take(line)

    def take(self, line):
        found = re.search(r'\bmsg=("[^"]*"|\S+)', line)
        message = found[1].strip('"') if found else "(no message)"
        self.counts[message] += 1
        if not found or CRASH.search(line):
            self.bad["not a line of a log, or a crash"].append(line)
        if " level=error " in line:
            self.bad[message].append(line)
        if message == "ready":
            self.address = re.search(r"\baddress=127\.0\.0\.1:(\d+)", line)
        if message == "worker ready":
            number, pid = re.search(r"\bworker=(\d+)\b.*\bworker_pid=(\d+)", line).groups()
            self.workers[int(number)] = int(pid)

    def tail(self):
        return "\n".join(line for lines in self.bad.values() for line in lines[:5])


class Service:
    def __init__(self, folder):
        self.file, self.log = folder / "runnel.yaml", Log(folder / "runnel.log")
        self.child, self.kills, self.reloads = None, [], 0
        self.cpu = collections.Counter()

    def write(self, heartbeat):
        self.file.write_text(settings(self.database, self.provider, heartbeat))

    def start(self, program, database, provider):
        self.database, self.provider = database, provider
        self.write(15)
        with open(self.log.file, "wb") as out:
            self.child = subprocess.Popen([program, "serve", "--config", self.file],
                                          stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          preexec_fn=dies_with_us)
        until = time.monotonic() + 20
        while not self.log.address or len(self.log.workers) < WORKERS:
            time.sleep(0.05)
            self.log.look()
            if self.child.poll() is not None or time.monotonic() > until:
                raise CannotRun("runnel did not start:\n" + self.log.file.read_text()[-2000:])
        self.port = int(self.log.address[1])

    def reload(self):
        """With another heartbeat each time, so that something is new."""
        self.reloads += 1
        self.write(15 - self.reloads % 2)
        self.child.send_signal(signal.SIGHUP)

    def kill_worker(self, number):
        self.log.look()
        self.kills.append(time.time())
        os.kill(self.log.workers[number], signal.SIGKILL)

    def look(self):
        """Resident memory of each worker, in KiB; of one that has just died nothing."""
        self.log.look()
        found = {}
        for number, pid in self.log.workers.items():
            try:
                found[number] = resident_kib(pid)
                self.cpu[pid] = cpu_seconds(pid)
            except OSError:
                pass
        return found

    def descriptors(self):
        return [descriptors(pid) for pid in (self.child.pid, *self.log.workers.values())]

    def stop(self):
        """SIGTERM; the exit status."""
        if not self.child:
            return None
        if self.child.poll() is None:
            self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.look()
        return self.child.returncode


class Memory:
    """Samples: (time, {worker: KiB})."""

    def __init__(self):
        self.samples = []

    async def watch(self, service, every):
        while True:
            self.samples.append((time.monotonic(), service.look()))
            await asyncio.sleep(every)

    def fifth(self, n, measure):
        """The median of the n-th fifth of the time."""
        first, last = self.samples[0][0], self.samples[-1][0]
        width = (last - first) / 5
        values = [measure(seen) for at, seen in self.samples
                  if first + n * width <= at <= first + (n + 1) * width and len(seen) == WORKERS]
        return statistics.median(values) if values else 0
