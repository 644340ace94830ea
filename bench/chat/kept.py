"""kept.py - who asks in the bench of conversations, and whether what was kept is right."""

import base64
import hashlib
import hmac
import http.client
import json
import pathlib
import subprocess
import time

from parts import CannotRun

SECRET = "a shared secret that has 32 bytes or more"
WARM = 5                                      # who ask first, in a run that is not measured
OLD_CHATS = 1000
PROMPT_TOKENS = 19                            # as the service says (bench/relay/pieces.c)
CALL_TOKENS = 5                               # the same, of a call of a tool
SETTLE_S = 30
ODD_SHOWN = 3


# ---- who asks ----------------------------------------------------------------------

def names(prefix, n):
    return [f"{prefix}-{i}" for i in range(n)]


def token(subject):
    def coded(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = dict(sub=subject, exp=int(time.time()) + 3600)
    signed = coded(b'{"alg":"HS256","typ":"JWT"}') + b"." + coded(json.dumps(claims).encode())
    signature = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + coded(signature)).decode()


def write_lines(file, lines):
    file.write_text("".join(line + "\n" for line in lines))
    return ["--askers", file]


def make_past(cluster):
    cluster.ask("INSERT INTO runnel.chat (tenant, dialect, uid, owner, context_type) "
                "SELECT 1, 'xcx', 'old' || n, 'old' || n, 'general' "
                "FROM generate_series(1, :chats) n", chats=OLD_CHATS)
    cluster.age()


def make_accounts(cluster, subjects):
    values = ", ".join(f"('{s}')" for s in subjects)
    cluster.ask("WITH made AS (INSERT INTO runnel.account (tenant, subject, status) "
                f"SELECT 1, s, 'approved' FROM (VALUES {values}) v (s) RETURNING id) "
                "INSERT INTO runnel.allowance (tenant, account, requests_per_minute, "
                "tokens_per_minute, streams, tokens_per_day) "
                "SELECT 1, id, 1000, 100000000, 100, 1000000000 FROM made")


def open_chats(port, subjects):
    """A line for each: his bearer and his conversation."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for subject in subjects:
        bearer = token(subject)
        connection.request("GET", "/api/xcx/chat/messages?contextType=general&contextId=",
                           headers={"Authorization": f"Bearer {bearer}"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise CannotRun(f"no conversation for {subject}: {answer.status} {body.decode()}")
        yield f"{bearer} {json.loads(body)['data']['chatId']}"
    connection.close()


def invite_people(cluster, runnel, folder, port, streams):
    make_accounts(cluster, names("warm", WARM) + names("bench", streams))
    make_past(cluster)
    door = ["--door", "xcx"]
    warm = write_lines(folder / "warm", open_chats(port, names("warm", WARM)))
    return (door + write_lines(folder / "askers", open_chats(port, names("bench", streams))),
            door + warm)


def make_key(cluster, runnel, folder, name):
    done = subprocess.run([runnel, "key", "create", name, "--config", folder / "runnel.yaml"],
                          capture_output=True, text=True)
    if done.returncode:
        raise CannotRun(f"runnel key create: {done.stderr}")
    return write_lines(folder / f"key-{name}", [done.stdout.strip()]) + ["--once", name + "-"]


def invite_keys(cluster, runnel, folder, port, streams):
    make_past(cluster)
    return (make_key(cluster, runnel, folder, "bench"), make_key(cluster, runnel, folder, "warm"))


# ---- what was kept -----------------------------------------------------------------

class Piece:
    """A piece of a journal (src/chat/event_bytes.h), read strictly."""

    def __init__(self, data):
        if data[:1] != b"\x01":
            raise ValueError("of another version")
        self.data, self.at = data, 1

    def number(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self):
        n = self.number()
        self.at += n
        if self.at > len(self.data):
            raise ValueError("cut off")
        return self.data[self.at - n:self.at].decode()

    def events(self):
        while self.at < len(self.data):
            letter = chr(self.data[self.at])
            self.at += 1
            if letter in "SD":
                yield letter, self.text()
            elif letter == "U":
                yield letter, (self.number(), self.number())
            elif letter == "W":
                yield letter, (self.number(), self.text(), self.text(), self.text())
            elif letter == "O":
                yield letter, (self.number(), self.text(), self.text())
            elif letter == "N":
                yield letter, None
            elif letter == "F":
                self.at += 1
                yield letter, chr(self.data[self.at - 1])
            else:
                raise ValueError(f"unexpected {letter}")


def read_journal(pieces):
    """The events of one turn; the pieces' numbers must follow from what they hold."""
    events = []
    for number, data in pieces:
        if number != len(events):
            raise ValueError(f"event {number} behind {len(events)}")
        events += Piece(data).events()
    return events


def tokens_of(plan, calls):
    """Prompt and completion, as the service counts: it is asked once more behind each call."""
    return PROMPT_TOKENS * (1 + calls), plan["words"] + CALL_TOKENS * calls


def shape_of(letters):
    """Each letter once for a run of it."""
    return "".join(b for a, b in zip(" " + letters, letters) if a != b)


def fault_of_journal(pieces, heard, plan, calls):
    try:
        events = read_journal(pieces)
    except (ValueError, IndexError, UnicodeDecodeError) as e:
        return f"its journal cannot be read: {e}"
    letters = "".join(letter for letter, _ in events)
    if shape_of(letters) != "SD" + "WUOND" * calls + "UF" or events[-1][1] != "s":
        return f"its journal is {shape_of(letters)}"
    if "".join(value for letter, value in events if letter == "D") != heard:
        return "its journal is not what was heard"
    if events[-2][1] != tokens_of(plan, calls):
        return f"its journal has usage {events[-2][1]}"
    return None


def read_heard(file):
    lines = (line.split("\t") for line in pathlib.Path(file).read_text().splitlines())
    return {int(number): text for number, text in lines}


def wait_for_usage(cluster, turns):
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        counted = int(cluster.ask("SELECT coalesce(sum(requests), 0) FROM runnel.usage")[0][0])
        if counted >= turns:
            return
        time.sleep(0.2)


def journals(cluster):
    pieces = {}
    for turn, seq, data in cluster.ask("SELECT turn, seq, encode(events, 'hex') "
                                       "FROM runnel.journal ORDER BY turn, seq"):
        pieces.setdefault(turn, []).append((int(seq), bytes.fromhex(data)))
    return pieces


def some(faults):
    """The first few, and how many there are."""
    faults = list(faults)
    if len(faults) > ODD_SHOWN:
        faults[ODD_SHOWN:] = [f"... {len(faults) - ODD_SHOWN} more rows are wrong"]
    return faults


def compare_turns(cluster, heard, plan, rows, calls=0):
    """rows: of each turn its stream, id, and the columns that must be as `good`."""
    good = ["complete", "stop", "", *map(str, tokens_of(plan, calls))]
    pieces, seen = journals(cluster), set()
    for stream, turn, *columns in rows:
        number = int(stream.removeprefix("bench-"))
        seen.add(number)
        if columns != good:
            yield f"turn {turn} of {stream} is {columns}, not {good}"
        fault = fault_of_journal(pieces.get(turn, []), heard.get(number), plan, calls)
        if fault:
            yield f"turn {turn} of {stream}: {fault}"
    if len(rows) != plan["streams"] or seen != set(heard):
        yield f"{len(rows)} turns are kept of {plan['streams']}, {len(heard)} were heard whole"


def compare_messages(heard, plan, rows, calls):
    """rows: stream, role, state, tokens used, content, tokens of the chat."""
    for stream, role, state, used, content, *chat in rows:
        number = int(stream.removeprefix("bench-"))
        want = heard.get(number) if role == "assistant" else f"{number} {plan['words']}"
        if state != "complete" or content != want:
            yield f"the {role}'s message of {stream} is {state}, and not what was said"
        elif role == "assistant" and used != str(len(content)):
            yield f"the answer to {stream} has {used} for {len(content)} characters"
        if chat != [*map(str, tokens_of(plan, calls))]:
            yield f"the chat of {stream} counts {chat}"
    if len(rows) != 2 * plan["streams"]:
        yield f"{len(rows)} messages are kept, not two for each of {plan['streams']}"


def compare_usage(plan, rows, requests, calls=0):
    """rows: whose, requests, failures, prompt tokens, completion tokens, estimated."""
    prompt, completion = tokens_of(plan, calls)
    want = [requests, 0, requests * prompt, requests * completion, 0]
    for whose, *counts in rows:
        if [int(c) for c in counts] != want:
            yield f"the usage of {whose} is {counts}, not {want}"
    if len(rows) * requests != plan["streams"]:
        yield f"{len(rows)} usages of {requests} are counted, for {plan['streams']} turns"


def compare_spending(cluster, plan, calls):
    used = str(sum(tokens_of(plan, calls)))
    rows = cluster.ask("SELECT a.subject, coalesce(s.tokens, 0), coalesce(p.requests, 0), "
                       "coalesce(p.tokens, 0), (SELECT count(*) FROM runnel.reservation r "
                       "WHERE r.allowance = w.id) FROM runnel.account a "
                       "JOIN runnel.allowance w ON w.account = a.id "
                       "LEFT JOIN (SELECT allowance, sum(tokens) AS tokens FROM runnel.spending "
                       "GROUP BY 1) s ON s.allowance = w.id "
                       "LEFT JOIN (SELECT allowance, sum(requests) AS requests, sum(tokens) AS "
                       "tokens FROM runnel.pace GROUP BY 1) p ON p.allowance = w.id "
                       "WHERE a.subject LIKE 'bench-%'")
    for subject, *counts in rows:
        if counts != [used, "1", used, "0"]:
            yield f"{subject} spent, asked, used and has reserved {counts}, not {used}, 1, {used}, 0"
    if len(rows) != plan["streams"]:
        yield f"{len(rows)} allowances"


USAGE = ", ".join(f"sum(u.{column})" for column in (
    "requests", "failures", "prompt_tokens", "completion_tokens", "estimated"))
TURN = "t.state, t.finish, t.fault, t.prompt_tokens, t.completion_tokens"


def check_people(cluster, file, plan, calls=0):
    heard = read_heard(file)
    wait_for_usage(cluster, plan["streams"] + WARM)
    turns = cluster.ask(f"SELECT c.owner, t.id, {TURN} FROM runnel.turn t JOIN runnel.chat c "
                        "ON c.id = t.chat WHERE c.owner LIKE 'bench-%'")
    messages = cluster.ask("SELECT c.owner, m.role, m.state, m.tokens_used, m.content, "
                           "c.prompt_tokens, c.completion_tokens FROM runnel.message m "
                           "JOIN runnel.chat c ON c.id = m.chat WHERE c.owner LIKE 'bench-%'")
    usage = cluster.ask(f"SELECT a.subject, {USAGE} FROM runnel.usage u JOIN runnel.account a "
                        "ON a.id = u.account WHERE a.subject LIKE 'bench-%' GROUP BY 1")
    return (some(compare_turns(cluster, heard, plan, turns, calls)) +
            some(compare_messages(heard, plan, messages, calls)) +
            some(compare_usage(plan, usage, 1, calls)) +
            some(compare_spending(cluster, plan, calls)))


def check_keys(cluster, file, plan):
    heard = read_heard(file)
    wait_for_usage(cluster, plan["streams"] + WARM)
    turns = cluster.ask(f"SELECT t.idempotency_key, t.id, {TURN} FROM runnel.turn t "
                        "WHERE t.idempotency_key LIKE 'bench-%'")
    usage = cluster.ask(f"SELECT k.name, {USAGE} FROM runnel.usage u JOIN runnel.api_key k "
                        "ON k.id = u.api_key WHERE k.name = 'bench' GROUP BY 1")
    return (some(compare_turns(cluster, heard, plan, turns)) +
            some(compare_usage(plan, usage, plan["streams"])))
