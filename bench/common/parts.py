"""parts.py - what all benchmarks of this folder share: servers, the client, the machine, figures.

A server runs on core SERVER_CORE; the client, this interpreter and whatever else a
benchmark starts on CLIENT_CORE.
"""

import http.client
import json
import os
import pathlib
import platform
import queue
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUT = ROOT / ".dev" / "bench"
SERVER_CORE, CLIENT_CORE = 0, 1
CLIENT_SOURCES = ["client.c", "asking.c", "answer.c", "answer_text.c", "answer_openai.c",
                  "answer_xcx.c", "answer_dbgpt.c", "answer_assistant.c", "cpu.c", "question.c", "json.c"]
FLAGS = ("-std=c11 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes "
         "-Wstrict-prototypes -Werror").split()


class CannotRun(Exception):
    pass


def end_when_told():
    """SIGTERM ends the program as an exception does, so that what it started ends, too. Once:
    whoever ends a group may tell its members twice."""
    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(2)

    signal.signal(signal.SIGTERM, end)


# ---- the machine -------------------------------------------------------------------

def resident_kib(pid, kind="Rss"):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(kind + ":"))


def core_busy():
    """Seconds each core has been busy, steal and interrupts included."""
    tick, busy = os.sysconf("SC_CLK_TCK"), {}
    with open("/proc/stat") as f:
        for line in f:
            if re.match(r"cpu\d", line):
                name, *t = line.split()
                busy[int(name[3:])] = (sum(map(int, t[:8])) - int(t[3]) - int(t[4])) / tick
    return busy


def raise_descriptor_limit(needed):
    """The limit the children inherit; says so when it is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        print(f"descriptor limit: {soft}, {needed} wanted and the hard limit is {hard}; "
              "runs that need more get fewer streams")
    return soft


def pin(core):
    if os.cpu_count() > core:
        return lambda: os.sched_setaffinity(0, {core})
    return None


def machine_line():
    model = "unknown CPU"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}"


# ---- the servers -------------------------------------------------------------------

class Server:
    """A child process pinned to one core, its output in a file."""

    def __init__(self, command, log, core=SERVER_CORE):
        self.log = log
        with open(log, "wb") as out:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          preexec_fn=pin(core))
        self.pid = self.child.pid

    def wait_for(self, look, what):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            found = look()
            if found:
                return found
            if self.child.poll() is not None:
                break
            time.sleep(0.02)
        tail = pathlib.Path(self.log).read_text(errors="replace")[-2000:]
        self.stop()
        raise CannotRun(f"{what} did not start:\n{tail}")

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(10)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


def start_runnel(program, folder, providers_and_models):
    settings = folder / "runnel.yaml"
    settings.write_text(
        "listen: 127.0.0.1:0\n"
        "http: {max_connections: 20000, max_requests_per_connection: 1000000}\n"
        "turns: {max_running: 20000}\n" + providers_and_models)
    server = Server([program, "serve", "--config", settings], folder / "runnel.log")

    def ready():
        return re.search(r"\bmsg=ready\b.*\baddress=127\.0\.0\.1:(\d+)",
                         server.log.read_text(errors="replace"))

    server.port = int(server.wait_for(ready, "runnel")[1])
    return server


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_nginx(program, folder, descriptors, upstream_port, pass_to="http://upstream", more=""):
    """One worker that relays as it reads, over kept connections to the upstream."""
    port = free_port()
    settings = folder / "nginx.conf"
    temp = "".join(f"    {kind}_temp_path {folder}/{kind};\n"
                   for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    settings.write_text(
        ("user root;\n" if os.geteuid() == 0 else "") +
        "daemon off;\nworker_processes 1;\n"
        f"worker_rlimit_nofile {descriptors};\npid {folder}/nginx.pid;\n"
        f"events {{ worker_connections {descriptors - 64}; }}\n"
        "http {\n"
        "    access_log off;\n    keepalive_requests 1000000;\n" + temp +
        f"    upstream upstream {{ server 127.0.0.1:{upstream_port}; keepalive 2048;"
        " keepalive_requests 1000000; }\n"
        "    server {\n"
        f"        listen 127.0.0.1:{port} backlog=4096;\n"
        "        location / {\n"
        f"            proxy_pass {pass_to};\n{more}"
        "            proxy_http_version 1.1;\n"
        "            proxy_set_header Connection \"\";\n"
        "            proxy_set_header Host $host;\n"
        "            proxy_buffering off;\n"
        "            proxy_read_timeout 300s;\n"
        "        }\n    }\n}\n")
    server = Server([program, "-p", folder, "-e", "stderr", "-c", settings], folder / "nginx.log")

    def worker():
        with open(f"/proc/{server.pid}/task/{server.pid}/children") as f:
            return f.read().split()

    server.master, server.port = server.pid, port
    server.pid = int(server.wait_for(worker, "nginx")[0])
    server.wait_for(lambda: answers(port), "nginx")
    return server


def answers(port):
    try:
        Scraper(port).get("/livez")
        return True
    except OSError:
        return False


class Scraper:
    """One kept connection, so that scraping opens nothing while it measures."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def get(self, path):
        self.connection.request("GET", path)
        return self.connection.getresponse().read().decode()

    def counters(self):
        values = {}
        for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? (\S+)$", self.get("/metrics"), re.M):
            values[name] = values.get(name, 0) + float(value)
        return values["runnel_allocations_total"], values["runnel_turn_events_total"]

    def own_allocations(self):
        seen = [self.counters()[0] for _ in range(6)]
        return min(b - a for a, b in zip(seen[2:], seen[3:]))


# ---- programs ----------------------------------------------------------------------

def build_program(name, folders, sources, libraries=()):
    """Compiles when a source or header in one of the folders is newer than the program."""
    OUT.mkdir(parents=True, exist_ok=True)
    program = OUT / name
    newest = max(f.stat().st_mtime for d in folders for f in d.iterdir() if f.suffix in (".c", ".h"))
    if not program.exists() or program.stat().st_mtime < newest:
        compiler = os.environ.get("CC", "cc")
        if shutil.which(compiler) is None:
            raise CannotRun(f"no C compiler ({compiler})")
        subprocess.run([compiler, *FLAGS, f"-I{HERE}", *sources, "-o", program, *libraries],
                       check=True)
    return program


def build_client():
    return build_program("client", [HERE], [HERE / s for s in CLIENT_SOURCES])


def find_runnel(build):
    runnel = pathlib.Path(os.environ.get("RUNNEL_BIN") or ROOT / build / "runnel")
    if not os.access(runnel, os.X_OK):
        raise CannotRun(f"{runnel} is missing: build it first")
    return runnel


def find_nginx(otherwise):
    nginx = os.environ.get("NGINX") or shutil.which("nginx", path=os.environ.get("PATH", "") +
                                                    ":/usr/sbin:/usr/local/sbin")
    if not nginx:
        raise CannotRun(f"nginx is missing: apt-get install nginx-light, or {otherwise}")
    return pathlib.Path(nginx)


def version_of(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=10)
    return done.stdout.strip().splitlines()[0] if done.stdout.strip() else "unknown"


# ---- the client --------------------------------------------------------------------

class Client:
    def __init__(self, program, port, options):
        command = [program, *options, f"127.0.0.1:{port}"]
        if os.cpu_count() > CLIENT_CORE:
            command[1:1] = ["--cpu", str(CLIENT_CORE)]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.notes = []

    def read(self):
        for line in self.child.stderr:
            self.lines.put(line.strip())
        self.lines.put(None)

    def next_line(self, timeout):
        """A line, None at the end, or "" when nothing came in time."""
        try:
            line = self.lines.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return ""
        if line and not line.startswith("window"):
            self.notes.append(line)
        return line

    def wait_for(self, wanted, timeout):
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            line = self.next_line(until - time.monotonic())
            if line == wanted or line is None:
                return line == wanted
        return False

    def report(self):
        text = self.child.stdout.read()
        self.child.wait()
        self.reader.join()
        if not text.strip():
            raise CannotRun("the client gave no report: " + "; ".join(self.notes))
        return json.loads(text)

    def stop(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


# ---- figures -----------------------------------------------------------------------

def number(value, places):
    if places is None:
        return "0" if value == 0 else f"{value:.3g}"
    return f"{value:,.{places}f}"


def summary(runs, key):
    values = [r[key] for r in runs if r.get(key) is not None]
    if not values:
        return None
    return dict(median=statistics.median(values), min=min(values), max=max(values), runs=len(values))
