"""questions.py - what is asked, and what is said to it: both sides know it without being told.

A question is "<number> <words>", and, where its call shall fail, "<fault> <n>" behind that:

    early fails busy          its first n calls: a reset without an answer, a 500, a 429
    mute                      it is taken, and nothing is ever said
    reset fin stall breaks    behind n words: RST, the end of the connection, silence, an error

Every word has the question's number and its own, so that one that is lost, comes twice, in a
wrong order or from another answer is seen.
"""

import collections
import functools

AT_FIRST = ("early", "fails", "busy")
IN_THE_MIDDLE = ("reset", "fin", "stall", "breaks")

Question = collections.namedtuple("Question", "number words fault n", defaults=("", 0))

SPICE = ("", "", "你好", "", "é", "", "👩‍🚀", "\"\\")


def word(number, i):
    return f"{number}.{i}{SPICE[i % len(SPICE)]} "


@functools.lru_cache(1 << 18)
def words(number, n):
    return "".join(word(number, i) for i in range(n))


def written(q):
    return f"{q.number} {q.words} {q.fault} {q.n}" if q.fault else f"{q.number} {q.words}"


def read(text):
    """The question at the end of a prompt."""
    number, n, *fault = text.rsplit("\n", 1)[-1].split(" ")
    return Question(int(number), int(n), fault[0] if fault else "", int(fault[1]) if fault else 0)


def wish(rng, number, shortest, longest, trouble):
    """A question, with a fault where chance (`trouble`, 0 to 1) wants it."""
    n = rng.randint(shortest, longest)
    if rng.random() >= trouble:
        return Question(number, n)
    fault = rng.choices(AT_FIRST + IN_THE_MIDDLE + ("mute",), (2, 3, 3, 3, 2, 1, 2, 1))[0]
    if fault in AT_FIRST:
        return Question(number, n, fault, rng.choice((1, 1, 1, 2, 99)))
    return Question(number, n, fault, 1 if fault == "mute" else rng.randint(1, n - 1))
