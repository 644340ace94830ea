"""judge.py - what clients heard, what the provider said, what is kept, and whether they agree.

Each rule yields complaints. prove() shows each of them something that is wrong, so that none
can be blind.
"""

import array
import bisect
import collections
import copy
import os

import questions
from questions import Question
from talk import Story

JOURNAL = 1.0            # seconds after which a word is kept (turns.journal_every)
SLACK = float(os.environ.get("RUNNEL_SLOW") or 1)     # for a machine that has more to do
BACK = 5.0               # what waited for the database is written so soon after it came back

# A turn and its answer in the database.
Row = collections.namedtuple("Row", "chat answer state shown fault content begun ended")

# stories; calls: {question: [(said, how), ...]}; rows: {key: Row}; kills: times; outages:
# [(from, to)]; messages, pages: {chat: [(id, role, state, content), ...]}
Evidence = collections.namedtuple("Evidence", "stories calls rows kills outages messages pages")


def name(s):
    return f"question {s.question.number} ({questions.written(s.question)}, chat {s.chat})"


def kept_words(s, row):
    """How many of the provider's words are kept; None: other ones."""
    n = row.content.count(" ")
    return n if row.content == questions.words(s.question.number, n) else None


def was_refused_late(s):
    """Who has waited a second for the database hears of its absence in the stream: without an
    event, so that he may ask again."""
    return s.told == "error" and s.last is None


# ---- the rules -----------------------------------------------------------------------

def everybody_is_told(e):
    """every word came once and in order, and then one end, the same to everybody"""
    for s in e.stories:
        for why in s.wrong:
            yield f"{name(s)}: {why}"
        if s.told not in ("done", "error", "refused"):
            yield f"{name(s)}: told {s.told}"
        other = s.listener
        for why in other.wrong if other else ():
            yield f"{name(s)}, who listened: {why}"
        if other and other.heard and (other.told != s.told
                                      or (s.told == "done" and other.heard != s.heard)):
            yield f"{name(s)}: told {s.told}; who listened: {other.told}, {other.heard} words"


def good_ends_are_true(e):
    """whoever was told `done` heard all, and all is kept as complete"""
    for s in e.stories:
        row, n = e.rows.get(s.key), s.question.words
        if s.told != "done":
            continue
        if not row or row.state != "complete":
            yield f"{name(s)}: done, but kept as {row and row.state}"
        elif row.content != questions.words(s.question.number, n):
            yield f"{name(s)}: done, but kept is {row.content[-50:]!r}"
        if s.heard != n:
            yield f"{name(s)}: done, but {s.heard} of {n} words were heard"


def complete_is_complete(e):
    """what is kept as complete was said to its end, and its asker was told so"""
    for s in e.stories:
        row = e.rows.get(s.key)
        if not row or row.state != "complete":
            continue
        if (s.question.words, "whole") not in e.calls.get(s.question.number, ()):
            yield f"{name(s)}: complete, but the calls were {e.calls.get(s.question.number)}"
        if s.told != "done":
            yield f"{name(s)}: complete, but told {s.told}"


def cut_ends_are_kept_as_such(e):
    """whoever was told of an error finds it kept as error or interrupted"""
    for s in e.stories:
        row = e.rows.get(s.key)
        if s.told != "error" or (not row and was_refused_late(s)):
            continue
        if not row or row.state not in ("error", "interrupted") or not row.fault:
            yield f"{name(s)}: an error, but kept as {row and (row.state, row.fault)}"


def only_what_was_said_is_kept(e):
    """what is kept is the provider's words from the first on, and none that it did not say"""
    for s in e.stories:
        row = e.rows.get(s.key)
        if not row:
            continue
        kept = kept_words(s, row)
        said = max((said for said, _ in e.calls.get(s.question.number, ())), default=0)
        if kept is None:
            yield f"{name(s)}: kept is {row.content[-80:]!r}"
        elif max(kept, s.heard) > said:
            yield f"{name(s)}: {kept} words kept, {s.heard} heard, {said} said"


def nothing_heard_is_lost(e):
    """what was heard is kept, but for the last second before a kill -9"""
    for s in e.stories:
        row = e.rows.get(s.key)
        if row and row.state != "interrupted" and (kept_words(s, row) or 0) < s.heard:
            yield f"{name(s)}: {s.heard} words heard, {kept_words(s, row)} kept, {row.state}"
    for s, late in unkept(e):
        if late > JOURNAL + SLACK:
            yield f"{name(s)}: a word was not kept {late:.2f} s after it was heard"


def unkept(e):
    """(story, seconds from the first word that was not kept to the kill) of the interrupted."""
    for s in e.stories:
        row = e.rows.get(s.key)
        if not row or row.state != "interrupted" or row.ended is None:
            continue
        kept = kept_words(s, row) or 0
        at = bisect.bisect(e.kills, row.ended)
        if kept < s.heard and at:
            yield s, last_moment_of(e, e.kills[at - 1]) - s.times[kept]


def last_moment_of(e, kill):
    """Who was killed while the database was away could keep nothing since it went."""
    return min([kill, *(down for down, up in e.outages if down <= kill <= up + BACK)])


def only_the_killed_are_interrupted(e):
    """interrupted is only what ran when a worker was killed"""
    for s in e.stories:
        row = e.rows.get(s.key)
        if row and row.state == "interrupted" and not any(
                row.begun <= kill + SLACK and kill <= (row.ended or kill) for kill in e.kills):
            yield f"{name(s)}: interrupted ({row.fault}) from {row.begun} to {row.ended}"


def nobody_is_asked_twice(e):
    """no call was made behind one that had spoken, nor for what was not kept"""
    known = {s.question.number: s for s in e.stories}
    for number, calls in e.calls.items():
        s = known.get(number)
        if not s or s.key not in e.rows:
            yield f"question {number} was asked {len(calls)} times, and is not kept"
        if any(said for said, _ in calls[:-1]):
            yield f"question {number} was asked again: {calls}"


def what_is_refused_is_not_kept(e):
    """there is a row of each question that was taken, and of no other one"""
    taken = {s.key for s in e.stories if s.told != "refused" and not was_refused_late(s)}
    perhaps = {s.key for s in e.stories if was_refused_late(s)}
    for key in taken - set(e.rows):
        yield f"{key} is not kept"
    for key in set(e.rows) - taken - perhaps:
        yield f"{key} was refused or never asked, and is kept as {e.rows[key].state}"


def nothing_streams(e):
    """nothing is left streaming, and an answer has the state of its turn"""
    for key, row in e.rows.items():
        if row.state == "streaming" or row.shown != row.state or row.ended is None:
            yield f"{key}: the turn is {row.state}, the answer {row.shown}"


def pages_show_what_is_kept(e):
    """the conversations' pages show what the database has: each question and its answer"""
    texts = {s.key: (s, questions.written(s.question)) for s in e.stories}
    turns = {row.answer: key for key, row in e.rows.items()}
    for chat, messages in e.messages.items():
        if e.pages.get(chat) != messages:
            yield f"chat {chat}: the pages and the database differ"
        asked = [m for m in messages if m[1] == "user"]
        answers = [m for m in messages if m[1] != "user"]
        if [m[1] for m in messages] != ["user", "assistant"] * (len(messages) // 2):
            yield f"chat {chat}: it has {[m[1] for m in messages]}"
        for question, answer in zip(asked, answers):
            s, text = texts.get(turns.get(answer[0]), (None, None))
            if question[3] != text or s.chat != chat:
                yield f"chat {chat}: message {answer[0]} does not answer {question[3]!r}"


RULES = (everybody_is_told, good_ends_are_true, complete_is_complete, cut_ends_are_kept_as_such,
         only_what_was_said_is_kept, nothing_heard_is_lost, only_the_killed_are_interrupted,
         nobody_is_asked_twice, what_is_refused_is_not_kept, nothing_streams,
         pages_show_what_is_kept)


# ---- the rules are judged --------------------------------------------------------------

def story(q, chat, heard, told):
    s = Story(q, chat, [])
    s.times = array.array("d", [1000 + i for i in range(heard)])
    s.told, s.last = told, heard or None
    return s


def example():
    """A whole answer, one that broke off, one that was killed, and a refusal."""
    asked = [Question(1, 5), Question(2, 5, "reset", 3), Question(3, 9), Question(4, 5)]
    stories = [story(q, 70 + q.number, heard, told) for q, heard, told in zip(
        asked, (5, 3, 7, 0), ("done", "error", "error", "refused"))]
    said = {1: [(0, "fails"), (5, "whole")], 2: [(3, "reset")], 3: [(8, "left")]}
    kept = ((1, "complete", "", 5, 1005), (2, "error", "cut", 3, 1003),
            (3, "interrupted", "shutdown", 6, 1018))
    rows = {f"chaos-{n}": Row(70 + n, 20 + n, state, state, fault, questions.words(n, of), 999, end)
            for n, state, fault, of, end in kept}
    messages = {70 + n: [(10 + n, "user", "complete", questions.written(asked[n - 1])),
                         (20 + n, "assistant", state, questions.words(n, of))]
                for n, state, _, of, _ in kept}
    return Evidence(stories, said, rows, [1006.5], [], messages, copy.deepcopy(messages))


def change_row(key, **more):
    def change(e):
        e.rows[key] = e.rows[key]._replace(**more)
    return change


def change_story(at, **more):
    def change(e):
        for what, value in more.items():
            setattr(e.stories[at], what, value)
    return change


LIES = (
    (everybody_is_told, change_story(0, wrong=["a word came twice"])),
    (everybody_is_told, change_story(0, told=None)),
    (everybody_is_told, change_story(0, listener=story(Question(1, 5), 71, 4, "done"))),
    (everybody_is_told, change_story(0, listener=story(Question(1, 5), 71, 5, "error"))),
    (good_ends_are_true, change_story(1, told="done")),
    (good_ends_are_true, lambda e: e.rows.pop("chaos-1")),
    (good_ends_are_true, lambda e: e.stories[0].times.pop()),
    (good_ends_are_true, change_row("chaos-1", content=questions.words(1, 4))),
    (complete_is_complete, lambda e: e.calls.update({1: [(4, "left")]})),
    (complete_is_complete, change_story(0, told="error")),
    (cut_ends_are_kept_as_such, lambda e: e.rows.pop("chaos-2")),
    (cut_ends_are_kept_as_such, change_row("chaos-2", state="complete")),
    (only_what_was_said_is_kept, change_row("chaos-2", content=questions.words(2, 4))),
    (only_what_was_said_is_kept, change_row("chaos-3", content="3.1 3.0你好 ")),
    (nothing_heard_is_lost, change_row("chaos-2", content=questions.words(2, 2))),
    (nothing_heard_is_lost, change_row("chaos-3", content=questions.words(3, 4))),
    (only_the_killed_are_interrupted, lambda e: e.kills.clear()),
    (nobody_is_asked_twice, lambda e: e.calls[2].append((0, "fails"))),
    (nobody_is_asked_twice, lambda e: e.calls.update({4: [(0, "mute")]})),
    (nobody_is_asked_twice, lambda e: e.rows.pop("chaos-2")),
    (what_is_refused_is_not_kept, lambda e: e.rows.pop("chaos-2")),
    (what_is_refused_is_not_kept, lambda e: e.rows.update({"chaos-4": e.rows["chaos-2"]})),
    (nothing_streams, change_row("chaos-3", state="streaming", shown="streaming", ended=None)),
    (nothing_streams, change_row("chaos-3", shown="streaming")),
    (pages_show_what_is_kept, lambda e: e.pages[71].pop()),
    (pages_show_what_is_kept, lambda e: e.messages[71].reverse()),
    (pages_show_what_is_kept, change_row("chaos-1", answer=99)),
)


def prove():
    for rule in RULES:
        if found := list(rule(example())):
            raise AssertionError(f"{rule.__name__} complains of what is right: {found}")
    for rule, lie in LIES:
        lie(e := example())
        if not list(rule(e)):
            raise AssertionError(f"{rule.__name__} is blind to lie {LIES.index((rule, lie)) + 1}")
    if {rule for rule, _ in LIES} != set(RULES):
        raise AssertionError("a rule that nobody lied to")
