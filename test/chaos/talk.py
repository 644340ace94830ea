"""talk.py - the clients: people who ask, lose their connection, come back, and hear all of it.

Each is as good a client as docs/miniprogram/runnel.js. Until an event has come, a question that
was lost is sent again with its Idempotency-Key; from then on its answer is read on behind the
last event that came, until its end is told. A refusal is waited for and asked again.
"""

import array
import asyncio
import base64
import collections
import hashlib
import hmac
import json
import random
import re
import socket
import struct
import time

import questions

SECRET = "a shared secret that has 32 bytes or more"
TALKS_PER_PERSON = 10
QUESTIONS_PER_TALK = 4
SILENCE = 40             # seconds; the service says something every 15
PATIENCE = 150           # seconds without a word after which nobody believes in an end
REFUSALS = 8             # in a row, of a question that nobody has begun to answer
PAUSES = (0.5, 1, 2, 4)
LISTENERS = 0.0015       # the chance at each word that somebody else begins to listen
RESET = struct.pack("ii", 1, 0)


class Wrong(Exception):
    """The service said something that it must not."""


class TooLate(Exception):
    """The next answer is being told already."""


def token(subject):
    def part(x):
        return base64.urlsafe_b64encode(x).rstrip(b"=").decode()

    signed = ".".join(part(json.dumps(x).encode()) for x in (
        {"alg": "HS256", "typ": "JWT"}, {"sub": subject, "exp": int(time.time()) + 86400}))
    return f"{signed}.{part(hmac.digest(SECRET.encode(), signed.encode(), hashlib.sha256))}"


# ---- one request ---------------------------------------------------------------------

class Exchange(asyncio.Protocol):
    """One request on a connection of its own, and what comes of it: events, or a body."""

    def __init__(self, request, hear=None):
        self.request, self.hear, self.got = request, hear, b""
        self.status, self.fields, self.streams, self.body = None, {}, False, b""
        self.is_whole, self.has_left, self.wrong = False, False, None
        self.loop = asyncio.get_running_loop()
        self.heard_at = self.loop.time()
        self.over = self.loop.create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)

    def connection_lost(self, _):
        self.finish()

    def finish(self):
        if not self.over.done():
            self.over.set_result(None)
        self.transport.abort()

    def leave(self, politely):
        """Closes, or resets: both happen to phones."""
        self.has_left = True
        if not politely:
            s = self.transport.get_extra_info("socket")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.finish()

    def data_received(self, data):
        self.heard_at = self.loop.time()
        self.got = self.got + data if self.got else data
        try:
            if self.status is None and not self.take_head():
                return
            if self.streams:
                self.take_chunks()
            else:
                self.take_body()
        except TooLate:
            self.leave(True)
        except (Wrong, ValueError, KeyError, TypeError) as e:
            self.wrong = f"{type(e).__name__}: {e}"
        if self.is_whole or self.wrong:
            self.finish()

    def take_head(self):
        head, end, rest = self.got.partition(b"\r\n\r\n")
        if not end:
            return False
        first, *lines = head.decode("ascii").split("\r\n")
        self.status, self.got = int(first.split(" ")[1]), rest
        self.fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        self.streams = self.fields.get("transfer-encoding") == "chunked"
        return True

    def take_body(self):
        if len(self.got) >= int(self.fields.get("content-length", 0)):
            self.body, self.is_whole = self.got, True

    def take_chunks(self):
        while not self.has_left:
            at = self.got.find(b"\r\n")
            if at < 0:
                return
            end = at + 2 + int(self.got[:at], 16)
            if len(self.got) < end + 2:
                return
            chunk, self.got = self.got[at + 2:end], self.got[end + 2:]
            if not chunk:
                self.is_whole = True
                return
            self.take_events(chunk)

    def take_events(self, chunk):
        if not chunk.endswith(b"\n\n"):
            raise Wrong("a chunk ends inside an event")
        for event in chunk[:-2].split(b"\n\n"):
            if event.startswith(b":") or self.has_left:
                continue
            fields = dict(line.split(b": ", 1) for line in event.split(b"\n"))
            self.hear(self, fields[b"event"], fields.get(b"id", b""), json.loads(fields[b"data"]))


# ---- one question --------------------------------------------------------------------

class Story:
    """A question, and what its asker knows of the answer."""

    __slots__ = ("question", "key", "chat", "times", "answer", "last", "told", "leaves", "wrong",
                 "listener")

    def __init__(self, question, chat, leaves):
        self.question, self.chat, self.leaves = question, chat, leaves
        self.key = f"chaos-{question.number}"
        self.times = array.array("d")         # when each word came
        self.answer, self.last = 0, None
        self.told = None                      # "done", "error" or "refused"
        self.wrong = []
        self.listener = None                  # a story of its own

    @property
    def heard(self):
        return len(self.times)

    def hear(self, name, event, data):
        if self.told:
            raise Wrong("something behind the last word")
        if name == b"message":
            self.follow(event)
            self.take(data["token"])
        elif name == b"done":
            if "stopped" in data or (self.answer and data["messageId"] != self.answer):
                raise Wrong(f"done, but {data}")
            self.told = "done"
        elif name == b"error":
            self.told = "error"
        else:
            raise Wrong(f"an event that nobody knows: {name}")

    def follow(self, event):
        answer, number = map(int, event.split(b"."))
        if self.last is not None and (answer, number) != (self.answer, self.last + 1):
            raise Wrong(f"event {event.decode()} behind {self.answer}.{self.last}")
        self.answer, self.last = answer, number

    def take(self, said):
        while said:
            word = questions.word(self.question.number, self.heard)
            if not said.startswith(word) or self.heard == self.question.words:
                raise Wrong(f"{said!r} where {word!r} belongs")
            said = said[len(word):]
            self.times.append(time.time())

    def fail(self, why):
        self.wrong.append(why)
        self.told = self.told or "nothing"


class Listener(Story):
    """Somebody who comes when an answer is being told, and hears it from the beginning."""

    __slots__ = ("of",)

    def __init__(self, of):
        super().__init__(of.question, of.chat, [])
        self.of = of

    def follow(self, event):
        if event.partition(b".")[0] != b"%d" % self.of.answer:
            raise TooLate
        super().follow(event)


# ---- the people ----------------------------------------------------------------------

class Stage:
    """What the clients share: where the service is, and what came of all they did."""

    def __init__(self, port, seed, shortest, longest):
        self.port, self.shortest, self.longest = port, shortest, longest
        self.rng = random.Random(seed)
        self.stories, self.live, self.listening = [], set(), set()
        self.counts = collections.Counter()
        self.trouble = 0.0
        self.is_over = False

    async def exchange(self, request, hear=None):
        """The exchange when it is over; None: nobody took the connection."""
        loop = asyncio.get_running_loop()
        try:
            _, x = await asyncio.wait_for(loop.create_connection(
                lambda: Exchange(request, hear), "127.0.0.1", self.port), 15)
        except (OSError, asyncio.TimeoutError):
            self.counts["connections refused"] += 1
            return None
        self.live.add(x)
        await x.over
        self.live.discard(x)
        return x

    async def watch(self):
        """Whoever hears nothing for too long does not wait for ever."""
        while True:
            await asyncio.sleep(2)
            now = asyncio.get_running_loop().time()
            for x in [x for x in self.live if now - x.heard_at > SILENCE]:
                self.counts["silent connections"] += 1
                x.finish()

    def begin(self, chat):
        q = questions.wish(self.rng, len(self.stories) + 1, self.shortest, self.longest,
                           self.trouble)
        times = self.rng.choices((0, 1, 2, 4), (35, 40, 15, 10))[0]
        story = Story(q, chat, sorted(self.rng.randint(1, q.words) for _ in range(times)))
        self.stories.append(story)
        return story


class Talker:
    """Somebody who talks: a question, its answer to the end, the next one."""

    def __init__(self, stage, number):
        self.stage, self.number = stage, number
        self.rng = random.Random(stage.rng.random())
        self.token = token(f"person{number // TALKS_PER_PERSON}")
        self.chats = []

    def request(self, method, path, body=b"", *fields):
        lines = [f"{method} /api/xcx/chat/{path} HTTP/1.1", "Host: chaos", "Connection: close",
                 f"Authorization: Bearer {self.token}", *fields]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body

    async def get(self, path):
        """The data of a good answer."""
        for tries in range(20):
            x = await self.stage.exchange(self.request("GET", path))
            if x and x.status == 200 and x.is_whole:
                return json.loads(x.body)["data"]
            await asyncio.sleep(PAUSES[min(tries, 3)] * (0.5 + self.rng.random()))
        raise Wrong(f"{path}: {x and x.status} {x and x.body[:200]}")

    async def open(self):
        about = f"talk{self.number}.{len(self.chats)}"
        page = await self.get(f"messages?contextType=task&contextId={about}&page_size=1")
        self.chats.append(page["chatId"])

    async def live(self):
        """What was said before goes into each prompt, so that long talks would take ever more."""
        asked = 0
        while not self.stage.is_over:
            if asked and asked % QUESTIONS_PER_TALK == 0:
                await self.open()
            await self.ask(self.stage.begin(self.chats[-1]))
            asked += 1

    def ask_or_resume(self, story):
        if story.last is not None:
            return self.request("GET", f"{story.chat}/stream", b"",
                                f"Last-Event-ID: {story.answer}.{story.last}")
        body = {"chatId": story.chat, "content": questions.written(story.question)}
        return self.request("POST", "stream", json.dumps(body).encode(),
                            f"Idempotency-Key: {story.key}")

    def hear(self, story):
        def event(x, name, event, data):
            story.hear(name, event, data)
            if story.leaves and story.heard >= story.leaves[0] and not story.told:
                del story.leaves[0]
                x.leave(self.rng.random() < 0.5)
            if story.listener is None and self.rng.random() < LISTENERS:
                story.listener = Listener(story)
                self.stage.listening.add(asyncio.create_task(self.listen(story.listener)))

        return event

    async def listen(self, listener):
        for _ in range(100):
            name = () if listener.last is None else (
                f"Last-Event-ID: {listener.answer}.{listener.last}",)
            x = await self.stage.exchange(
                self.request("GET", f"{listener.chat}/stream", b"", *name),
                lambda x, name, event, data: listener.hear(name, event, data))
            if x and x.wrong:
                listener.fail(x.wrong)
            if listener.told or (x and (x.has_left or (x.status == 204 and not listener.heard))):
                return
            await self.pause(x, 1)
        listener.fail("a listener was never told an end")

    async def ask(self, story):
        failures, seen, since = 0, 0, time.monotonic()
        while not story.told:
            x = await self.stage.exchange(self.ask_or_resume(story), self.hear(story))
            if x and x.wrong:
                story.fail(x.wrong)
            if story.told:
                return
            if story.heard > seen:
                failures, seen, since = 0, story.heard, time.monotonic()
            if x and x.has_left:
                self.stage.counts["left"] += 1
                await asyncio.sleep(self.absence())
                since = time.monotonic()
                continue
            failures += 1
            if self.gives_up(story, x, failures, since):
                return
            await self.pause(x, failures)

    def absence(self):
        """Mostly a moment; some come back when all is over."""
        return self.rng.uniform(20, 80) if self.rng.random() < 0.1 else self.rng.uniform(0.05, 3)

    def gives_up(self, story, x, failures, since):
        counts = self.stage.counts
        status = x and x.status
        if status == 200 and x.is_whole:
            story.fail("a stream without a last word")
        elif status in (429, 502, 503, 504):
            counts[f"answers {status}"] += 1
            if story.last is None and failures >= REFUSALS:
                story.told = "refused"
        elif status not in (None, 200):
            story.fail(f"HTTP {status}: {x.body[:200]!r}")
        elif x:
            counts["connections lost"] += 1
        if not story.told and time.monotonic() - since > PATIENCE:
            story.fail(f"nobody told its end (the last was HTTP {status})")
        return story.told is not None

    async def pause(self, x, failures):
        named = x.fields.get("retry-after", "") if x else ""
        own = PAUSES[min(failures, len(PAUSES)) - 1] * (0.5 + self.rng.random())
        await asyncio.sleep(max(own, int(named) if re.fullmatch(r"\d+", named) else 0))

    async def pages(self, chat):
        """All that a conversation shows, the oldest first."""
        items, page = [], 0
        while True:
            page += 1
            data = await self.get(f"{chat}/messages?page={page}&page_size=100")
            items += data["items"]
            if len(items) >= data["total"] or not data["items"]:
                return [(m["id"], m["role"], m["status"], m["content"]) for m in items]
