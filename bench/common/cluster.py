"""cluster.py - a PostgreSQL cluster for a benchmark, with a database that has seen some use."""

import os
import subprocess

from parts import ROOT, CannotRun, pin

SCRIPT = ROOT / "deps" / "cluster.sh"

# Whoever plans statements on empty tables plans them wrongly for full ones.
PAST = """\
INSERT INTO runnel.turn (tenant, id, chat, state, ended_at)
    SELECT 1, 'old' || id, id, 'complete', now() FROM runnel.chat;
INSERT INTO runnel.message (tenant, chat, seq, role)
    SELECT 1, id, -n, 'user' FROM runnel.chat, generate_series(1, 10) n;
VACUUM ANALYZE;
CHECKPOINT;
"""


class Cluster:
    """In a new directory; it does not wait for the disk unless it is durable."""

    def __init__(self, folder, core, durable=False):
        self.folder = folder
        fast = [] if durable else ["--fast"]
        done = subprocess.run([SCRIPT, "start", folder, "--socket-only", *fast,
                               "shared_buffers=256MB", "max_wal_size=4GB", "max_connections=200"],
                              capture_output=True, text=True, preexec_fn=pin(core))
        if done.returncode:
            self.remove()
            raise CannotRun(f"no database: {done.stderr}")
        self.url, self.bin = self.say("url", folder), self.say("bin")
        self.pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])

    def say(self, *command):
        return subprocess.run([SCRIPT, *command], capture_output=True, text=True,
                              check=True).stdout.strip()

    def ask(self, sql, **values):
        """Rows of texts. `values` stand behind colons in the SQL."""
        options = [f"--set={name}={value}" for name, value in values.items()]
        done = subprocess.run([f"{self.bin}/psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1",
                               *options, self.url], input=sql, capture_output=True, text=True)
        if done.returncode:
            raise CannotRun(f"psql: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def make_anew(self, runnel):
        """The schema, and nothing in it. Whoever was busy in the old one is sent away first."""
        self.ask("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE backend_type ="
                 " 'client backend' AND pid <> pg_backend_pid();"
                 "SET client_min_messages = warning; DROP SCHEMA IF EXISTS runnel CASCADE;")
        done = subprocess.run([runnel, "migrate"], capture_output=True, text=True,
                              env=dict(os.environ, RUNNEL_DATABASE_URL=self.url))
        if done.returncode:
            raise CannotRun(f"runnel migrate: {done.stderr}")

    def age(self):
        """Every chat has had a turn and ten messages, and statistics know of them."""
        self.ask(PAST)

    def remove(self):
        subprocess.run([SCRIPT, "remove", self.folder], check=False)
