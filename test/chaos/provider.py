#!/usr/bin/env python3
"""A model's service that says numbered words slowly to thousands, and fails as it is asked to.

    test/chaos/provider.py --pace SECONDS --seed N --calls FILE

It speaks OpenAI's Chat Completions, as streams only; questions.py says what questions are.
SIGUSR1 resets one in twenty of the answers that run. When a call ends a line goes to FILE:

    <question> <which call of it, from 1> <words that were written> <how it ended>

that is `whole`, the fault's name, `struck` (by the signal) or `left` (the other side went).
The first line of output is its port. SIGTERM ends it, with a line for each call that runs.
"""

import argparse
import asyncio
import collections
import json
import random
import re
import signal
import socket
import struct
import sys

sys.dont_write_bytecode = True

import questions

SLOTS = 50                               # those of one slot say their next words together
STRUCK = 0.05
RESET = struct.pack("ii", 1, 0)

HEAD = (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        b"transfer-encoding: chunked\r\n\r\n")
BEFORE = (b'data: {"id":"chatcmpl-chaos","object":"chat.completion.chunk","created":1700000000,'
          b'"model":"chaos","choices":[{"index":0,"delta":')
BUSY = {"message": "Rate limit reached.", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
BROKEN = {"message": "The server had an error.", "type": "server_error", "code": None}


def piece(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(delta, finish=b"null"):
    return piece(BEFORE + json.dumps(delta, ensure_ascii=False).encode() +
                 b',"finish_reason":' + finish + b"}]}\n\n")


START = HEAD + event({"role": "assistant", "content": ""})
END = event({}, b'"stop"') + piece(b"data: [DONE]\n\n") + b"0\r\n\r\n"
ERROR = piece(b"data: " + json.dumps({"error": BROKEN}).encode() + b"\n\n") + b"0\r\n\r\n"


def refusal(status, error, *fields):
    body = json.dumps({"error": error}).encode()
    lines = [f"HTTP/1.1 {status}", "content-type: application/json",
             f"content-length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


class Service:
    def __init__(self, pace, seed, calls):
        self.rng = random.Random(seed)
        self.calls = calls
        self.asked = collections.Counter()
        self.connections = set()
        self.slots = [set() for _ in range(SLOTS)]
        self.slot, self.step = 0, pace / SLOTS
        self.loop = asyncio.get_running_loop()
        self.due = self.loop.time()
        self.turn()

    def turn(self):
        """The wheel goes round once while one word is said."""
        while self.due <= self.loop.time():
            self.slot = (self.slot + 1) % SLOTS
            for answer in list(self.slots[self.slot]):
                answer.speak()
            self.due += self.step
        self.loop.call_at(self.due, self.turn)

    def strike(self):
        running = [a for slot in self.slots for a in slot]
        for answer in running:
            if self.rng.random() < STRUCK:
                answer.reset("struck")

    def note(self, question, call, said, how):
        self.calls.write(f"{question.number} {call} {said} {how}\n")


class Answer:
    """One call that is answered word by word."""

    def __init__(self, service, connection, question, call):
        self.service, self.connection = service, connection
        self.question, self.call, self.said = question, call, 0
        self.slot = service.slots[service.rng.randrange(SLOTS)]
        self.slot.add(self)

    def end(self, how):
        self.slot.discard(self)
        self.connection.answer = None
        self.service.note(self.question, self.call, self.said, how)

    def reset(self, how):
        self.end(how)
        self.connection.reset()

    def fail(self):
        fault, transport = self.question.fault, self.connection.transport
        if fault == "stall":
            self.slot.discard(self)
        elif fault == "reset":
            self.reset(fault)
        elif fault == "fin":
            self.end(fault)
            transport.close()
        else:
            self.end(fault)
            transport.write(ERROR)

    def speak(self):
        q = self.question
        if q.fault in questions.IN_THE_MIDDLE and self.said == q.n:
            self.fail()
        elif self.said == q.words:
            self.connection.transport.write(END)
            self.end("whole")
        else:
            said = event({"content": questions.word(q.number, self.said)})
            self.connection.transport.write(START + said if self.said == 0 else said)
            self.said += 1

    def left(self):
        self.end("left" if self in self.slot else self.question.fault)


class Connection(asyncio.Protocol):
    def __init__(self, service):
        self.service, self.got, self.answer = service, b"", None

    def connection_made(self, transport):
        self.transport = transport
        self.service.connections.add(self)

    def connection_lost(self, _):
        self.service.connections.discard(self)
        if self.answer:
            self.answer.left()

    def reset(self):
        s = self.transport.get_extra_info("socket")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.transport.abort()

    def data_received(self, data):
        self.got += data
        head, end, rest = self.got.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        if not end or not length or len(rest) < int(length[1]):
            return
        self.got = rest[int(length[1]):]
        self.asked(json.loads(rest[:int(length[1])]))

    def asked(self, body):
        q = questions.read(body["messages"][-1]["content"])
        self.service.asked[q.number] += 1
        call = self.service.asked[q.number]
        if q.fault in questions.AT_FIRST and call <= q.n:
            self.refuse(q, call)
            return
        self.answer = Answer(self.service, self, q, call)
        if q.fault == "mute":
            self.answer.slot.discard(self.answer)

    def refuse(self, q, call):
        self.service.note(q, call, 0, q.fault)
        if q.fault == "early":
            self.reset()
        elif q.fault == "fails":
            self.transport.write(refusal("500 Internal Server Error", BROKEN))
        else:
            self.transport.write(refusal("429 Too Many Requests", BUSY, "retry-after: 1"))


async def serve(args):
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    with open(args.calls, "w", buffering=1) as calls:
        service = Service(args.pace, args.seed, calls)
        loop.add_signal_handler(signal.SIGTERM, over.set)
        loop.add_signal_handler(signal.SIGUSR1, service.strike)
        server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)
        await over.wait()
        for c in service.connections:
            if c.answer:
                c.answer.left()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--pace", type=float, required=True)
    p.add_argument("--seed", type=int, required=True)
    p.add_argument("--calls", required=True)
    asyncio.run(serve(p.parse_args()))


if __name__ == "__main__":
    main()
