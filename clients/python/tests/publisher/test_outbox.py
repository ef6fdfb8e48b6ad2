"""What a publisher sends next: no IO, no clock."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from watertight_sse._errors import RequestError
from watertight_sse._publisher._entry import TEXT, Alone, Answer, Batch, Entry, State
from watertight_sse._publisher._outbox import Outbox


@dataclass
class Caller:
    """Remembers what it is told."""

    admitted_: list[bytes] = field(default_factory=list[bytes])
    taken_: list[bytes] = field(default_factory=list[bytes])
    failed_: list[bytes] = field(default_factory=list[bytes])
    names: dict[Entry, bytes] = field(default_factory=dict[Entry, bytes])

    def entry(self, session: str, body: bytes, alone: Alone | None = None) -> Entry:
        """One of its entries."""
        entry = Entry(session, body, self, alone)
        self.names[entry] = body
        return entry

    def admitted(self, entry: Entry) -> None:
        """There is room."""
        self.admitted_.append(self.names[entry])

    def taken(self, entry: Entry, answer: Answer) -> None:
        """It is published."""
        self.taken_.append(self.names[entry])

    def failed(self, entry: Entry, error: Exception) -> None:
        """It is not."""
        self.failed_.append(self.names[entry])


def outbox(events: int = 100, size: int = 10_000, batch: int = 3, batch_bytes: int = 1_000) -> Outbox:
    """A small one."""
    return Outbox(buffer_events=events, buffer_bytes=size, batch_events=batch, batch_bytes=batch_bytes)


def bodies(batch: Batch | None) -> list[bytes]:
    """The lines of a request."""
    assert batch is not None
    return batch.request.body.split(b"\n")


def ids(batch: Batch) -> list[str]:
    """An answer to it."""
    return [str(number) for number in range(len(batch.entries))]


def test_a_session_has_one_request_under_way_and_sessions_do_not_wait_for_each_other() -> None:
    box, caller = outbox(), Caller()
    for session, body in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        assert box.offer(caller.entry(session, body))
    first = box.take()
    assert bodies(first) == [b"1", b"3"]
    box.offer(caller.entry("a", b"4"))
    other = box.take()
    assert bodies(other) == [b"2"]
    assert box.take() is None, "the first request to `a` is not answered yet"
    assert first is not None
    box.taken(first, ids(first))
    assert bodies(box.take()) == [b"4"]


def test_what_comes_while_a_request_is_under_way_goes_together_up_to_the_limits() -> None:
    box, caller = outbox(batch=3, batch_bytes=30), Caller()
    for body in (b"a" * 10, b"b" * 10, b"c" * 10, b"d" * 50, b"e", b"f", b"g", b"h"):
        box.offer(caller.entry("s", body))
    sent: list[list[bytes]] = []
    while (batch := box.take()) is not None:
        sent.append(bodies(batch))
        box.taken(batch, ids(batch))
    assert sent == [[b"a" * 10, b"b" * 10], [b"c" * 10], [b"d" * 50], [b"e", b"f", b"g"], [b"h"]]
    assert box.is_empty
    assert box.bytes == 0


def test_a_request_of_its_own_keeps_its_place() -> None:
    box, caller = outbox(), Caller()
    box.offer(caller.entry("s", b"1"))
    box.offer(caller.entry("s", b"text", Alone(TEXT, {}, "mine")))
    box.offer(caller.entry("s", b"2"))
    sent: list[tuple[bytes, str]] = []
    while (batch := box.take()) is not None:
        sent.append((batch.request.body, batch.request.content_type))
        box.taken(batch, ids(batch))
    assert [body for body, _ in sent] == [b"1", b"text", b"2"]
    assert sent[1][1] == TEXT


def test_no_two_requests_share_a_key_and_a_callers_own_is_kept() -> None:
    box, caller, keys = outbox(batch=1), Caller(), set[str]()
    for number in range(50):
        box.offer(caller.entry("s", b"%d" % number))
    box.offer(caller.entry("s", b"x", Alone(TEXT, {}, "mine")))
    while (batch := box.take()) is not None:
        keys.add(batch.request.key)
        box.taken(batch, ids(batch))
    assert len(keys) == 51
    assert "mine" in keys


def test_the_buffer_is_bounded_by_number_and_by_bytes() -> None:
    box, caller = outbox(events=2), Caller()
    assert box.offer(caller.entry("s", b"1"))
    assert box.offer(caller.entry("s", b"2"))
    assert not box.try_offer(caller.entry("s", b"3"))
    assert (box.events, box.waiting) == (2, 0)
    box = outbox(size=10)
    assert box.offer(caller.entry("s", b"x" * 6))
    assert not box.try_offer(caller.entry("s", b"x" * 5))
    with pytest.raises(ValueError, match="larger buffer"):
        box.check(caller.entry("s", b"x" * 11))


def test_nobody_overtakes_who_waits_for_room() -> None:
    box, caller = outbox(size=10), Caller()
    box.offer(caller.entry("a", b"x" * 8))
    assert not box.offer(caller.entry("a", b"large" * 2))
    assert not box.offer(caller.entry("b", b"s")), "it would fit, but somebody waits"
    assert not box.try_offer(caller.entry("c", b"t"))
    batch = box.take()
    assert batch is not None
    box.taken(batch, ids(batch))
    assert caller.admitted_ == [b"large" * 2]
    batch = box.take()
    assert bodies(batch) == [b"large" * 2]
    assert batch is not None
    box.taken(batch, ids(batch))
    assert caller.admitted_ == [b"large" * 2, b"s"]


def test_of_a_refused_batch_the_one_that_is_named_fails_and_the_others_get_in_in_order() -> None:
    box, caller = outbox(batch=3), Caller()
    for body in (b"1", b"2", b"3", b"4"):
        box.offer(caller.entry("s", body))
    batch = box.take()
    assert batch is not None
    box.failed(batch, RequestError("no", status=400, code="INVALID_TTL"), 1)
    assert caller.failed_ == [b"2"]
    again = box.take()
    assert bodies(again) == [b"1", b"3", b"4"]
    assert again is not None
    assert again.request.key != batch.request.key, "another request has another key"


def test_a_batch_that_is_too_large_is_halved_until_it_fits_and_grows_again() -> None:
    box, caller = outbox(batch=4), Caller()
    for number in range(12):
        box.offer(caller.entry("s", b"%d" % number))
    sizes: list[int] = []
    while (batch := box.take()) is not None:
        sizes.append(len(batch.entries))
        if len(sizes) <= 2:
            box.failed(batch, RequestError("", status=413, code="TOO_MANY_EVENTS"))
        else:
            box.taken(batch, ids(batch))
    assert sizes == [4, 2, 1, 2, 4, 4, 1]
    assert caller.taken_ == [b"%d" % number for number in range(12)]
    assert not caller.failed_


def test_a_refusal_for_another_reason_fails_all_that_was_in_the_request() -> None:
    box, caller = outbox(batch=2), Caller()
    for body in (b"1", b"2", b"3"):
        box.offer(caller.entry("s", body))
    batch = box.take()
    assert batch is not None
    box.failed(batch, RequestError("", status=403, code="FORBIDDEN"))
    assert caller.failed_ == [b"1", b"2"]
    assert bodies(box.take()) == [b"3"]


def test_an_answer_with_too_few_ids_is_no_answer() -> None:
    box, caller = outbox(), Caller()
    box.offer(caller.entry("s", b"1"))
    box.offer(caller.entry("s", b"2"))
    batch = box.take()
    assert batch is not None
    box.taken(batch, ["one"])
    assert caller.failed_ == [b"1", b"2"]


def test_what_is_withdrawn_is_never_sent_and_makes_room() -> None:
    box, caller = outbox(events=2), Caller()
    sent, queued, waits = (caller.entry("s", body) for body in (b"sent", b"queued", b"waits"))
    box.offer(sent)
    batch = box.take()
    box.offer(queued)
    box.offer(waits)
    assert not box.withdraw(sent), "it is under way"
    assert box.withdraw(queued)
    assert caller.admitted_ == [b"waits"]
    assert box.withdraw(waits)
    assert not box.withdraw(waits), "once"
    assert batch is not None
    box.taken(batch, ids(batch))
    assert box.is_empty
    assert (box.events, box.bytes, box.waiting, box.ready) == (0, 0, 0, 0)
    assert caller.taken_ == [b"sent"]


def test_what_is_abandoned_fails_once_and_late_answers_change_nothing() -> None:
    box, caller = outbox(events=2), Caller()
    for body in (b"1", b"2", b"3"):
        box.offer(caller.entry("s", body))
    batch = box.take()
    assert box.abandon(RuntimeError("closed")) == 3
    assert sorted(caller.failed_) == [b"1", b"2", b"3"]
    assert batch is not None
    box.taken(batch, ids(batch))
    box.failed(batch, RuntimeError("late"))
    assert (len(caller.failed_), len(caller.taken_), box.is_empty) == (3, 0, True)


@pytest.mark.parametrize("seed", range(100))
def test_whatever_happens_order_and_accounts_are_those_of_the_obvious_model(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeats a run, guards nothing
    box, caller = outbox(events=8, size=60, batch=3, batch_bytes=20), Caller()
    model: dict[str, list[bytes]] = {"a": [], "b": []}
    live: list[Entry] = []
    under_way: list[Batch] = []
    got: dict[str, list[bytes]] = {"a": [], "b": []}
    for number in range(300):
        step = chance.random()
        if step < 0.5:
            body = (b"%d" % number).ljust(chance.randint(3, 12), b".")
            entry = caller.entry(chance.choice("ab"), body)
            box.offer(entry)
            live.append(entry)
            model[entry.session].append(body)
        elif step < 0.7 and (batch := box.take()) is not None:
            assert all(batch.request.session != other.request.session for other in under_way)
            under_way.append(batch)
        elif step < 0.9 and under_way:
            _settle(box, under_way.pop(chance.randrange(len(under_way))), chance, caller, model, got)
        elif live:
            entry = chance.choice(live)
            if box.withdraw(entry):
                model[entry.session].remove(caller.names[entry])
        live = [entry for entry in live if entry.state is not State.SETTLED]
        held = [entry for entry in live if entry.state in (State.QUEUED, State.SENT)]
        assert (box.events, box.bytes) == (len(held), sum(entry.size for entry in held))
        assert box.events <= 8
        assert box.bytes <= 60
    while under_way or box.ready:
        if (batch := box.take()) is not None:
            under_way.append(batch)
        _settle(box, under_way.pop(), chance, caller, model, got)
    assert got == model
    assert box.is_empty


def _settle(  # noqa: PLR0913, PLR0917 - all of the model
    box: Outbox,
    batch: Batch,
    chance: random.Random,
    caller: Caller,
    model: dict[str, list[bytes]],
    got: dict[str, list[bytes]],
) -> None:
    session = batch.request.session
    names = [caller.names[entry] for entry in batch.entries]
    if chance.random() < 0.6:
        got[session] += names
        box.taken(batch, ids(batch))
        return
    index = chance.randrange(len(names)) if chance.random() < 0.5 else None
    status = chance.choice([400, 413])
    failed = names if index is None else [names[index]]
    if index is None and status == 413 and len(names) > 1:
        failed = []
    for name in failed:
        model[session].remove(name)
    box.failed(batch, RequestError("", status=status), index)
