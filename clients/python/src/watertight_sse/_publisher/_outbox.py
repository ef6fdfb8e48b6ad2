"""A publisher's buffer: what waits for room, what is queued for each session, and what may be sent next.

One request at a time for each session: a second one, sent before the first is answered, could be taken before it if the
first has to be sent again, and nothing that a client can do mends that order afterwards. What makes one session fast is
batches.

Whoever offered first is admitted first, over all sessions. So nobody overtakes a large event that waits for room.

Knows no socket, no clock and no lock: whoever calls sees to it that one call is made at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from watertight_sse._errors import RequestError, UnexpectedAnswerError
from watertight_sse._publisher._entry import NDJSON, Answer, Batch, Entry, Keys, Request, State

_TOO_LARGE = 413
_NO_QUERY: Mapping[str, str | None] = {}


class _Lane:
    """One session's entries, in order. Goes with the last of them."""

    __slots__ = ("batch", "batch_events", "queued")

    def __init__(self, batch_events: int) -> None:
        self.queued: OrderedDict[Entry, None] = OrderedDict()
        self.batch: Batch | None = None
        """The request that is under way."""
        self.batch_events = batch_events
        """Events in the next request at most: fewer after a refusal for size."""


class Outbox:
    """The buffer. Each entry that was offered is settled once: taken, failed or withdrawn."""

    def __init__(
        self,
        *,
        buffer_events: int,
        buffer_bytes: int,
        batch_events: int,
        batch_bytes: int,
        next_key: Callable[[], str] | None = None,
    ) -> None:
        """Limits of what is held, and of what goes into one request."""
        self._buffer_events = buffer_events
        self._buffer_bytes = buffer_bytes
        self._batch_events = batch_events
        self._batch_bytes = batch_bytes
        self._next_key = Keys().next_key if next_key is None else next_key
        self._lanes: dict[str, _Lane] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        """Sessions with something to send and no request under way."""
        self._waiting: OrderedDict[Entry, None] = OrderedDict()
        self._events = 0
        self._bytes = 0

    @property
    def events(self) -> int:
        """Entries that are held, those under way included; not those that wait for room."""
        return self._events

    @property
    def bytes(self) -> int:
        """Their bytes."""
        return self._bytes

    @property
    def waiting(self) -> int:
        """Entries that wait for room."""
        return len(self._waiting)

    @property
    def ready(self) -> int:
        """Requests that could be sent now."""
        return len(self._ready)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to be settled."""
        return not self._events and not self._waiting

    def check(self, entry: Entry) -> None:
        """Raises:
        ValueError: the entry is larger than the whole buffer.
        """
        if entry.size > self._buffer_bytes:
            raise ValueError(
                f"the event has {entry.size} bytes, and buffer_bytes is {self._buffer_bytes}: a larger buffer would do"
            )

    def offer(self, entry: Entry) -> bool:
        """Takes the entry. False if it has to wait for room: its owner is told when it is admitted."""
        if self.try_offer(entry):
            return True
        entry.state = State.WAITING
        self._waiting[entry] = None
        return False

    def try_offer(self, entry: Entry) -> bool:
        """Takes the entry if there is room, and nobody waits for it."""
        if self._waiting or not self._has_room(entry):
            return False
        self._admit(entry)
        return True

    def withdraw(self, entry: Entry) -> bool:
        """Takes the entry out, so that it is never sent, and tells nobody. False if it is too late: it is under way, or
        settled.
        """
        if entry.state is State.WAITING:
            del self._waiting[entry]
            entry.state = State.SETTLED
            # Those behind it may be smaller.
            self._admit_waiting()
            return True
        if entry.state is not State.QUEUED:
            return False
        lane = self._lanes[entry.session]
        del lane.queued[entry]
        self._settle(entry)
        self._tidy(entry.session, lane)
        self._admit_waiting()
        return True

    def take(self) -> Batch | None:
        """The next request, of the session that has waited longest. ``None`` if there is nothing to send.

        Its session sends nothing else until the batch was given to :meth:`taken` or :meth:`failed`.
        """
        if not self._ready:
            return None
        session, _ = self._ready.popitem(last=False)
        lane = self._lanes[session]
        entries = self._gather(lane)
        for entry in entries:
            entry.state = State.SENT
        alone = entries[0].alone
        if alone is not None:
            request = Request(
                session,
                alone.content_type,
                alone.query,
                alone.key or self._next_key(),
                entries[0].body,
                alone.is_end,
            )
        else:
            body = b"\n".join([entry.body for entry in entries])
            request = Request(session, NDJSON, _NO_QUERY, self._next_key(), body, False)
        lane.batch = Batch(entries, request)
        return lane.batch

    def _gather(self, lane: _Lane) -> list[Entry]:
        entries: list[Entry] = []
        size = 0
        for entry in lane.queued:
            size += entry.size + 1
            if entries and (
                entry.alone is not None or len(entries) >= lane.batch_events or size > self._batch_bytes
            ):
                break
            entries.append(entry)
            if entry.alone is not None:
                break
        # Not while they are gone through.
        for _ in entries:
            lane.queued.popitem(last=False)
        return entries

    def taken(self, batch: Batch, answers: Sequence[Answer]) -> None:
        """The hub has all of it; ``answers`` are those for its entries, in order."""
        if len(answers) != len(batch.entries):
            self.failed(batch, UnexpectedAnswerError("not one id for each event"))
            return
        lane = self._lane_of(batch)
        if lane is None:
            return
        lane.batch_events = min(lane.batch_events * 2, self._batch_events)
        size = 0
        for entry in batch.entries:
            entry.state = State.SETTLED
            entry.body = b""
            size += entry.size
        self._events -= len(batch.entries)
        self._bytes -= size
        self._go_on(batch.request.session, lane)
        for entry, answer in zip(batch.entries, answers, strict=True):
            entry.owner.taken(entry, answer)

    def failed(self, batch: Batch, error: Exception, index: int | None = None) -> None:
        """It is not sent again as it is. ``index`` is the number of the event that the hub refused, if it named one: all
        or none of a batch is taken, so the others are still to get in, and those before it first.
        """
        lane = self._lane_of(batch)
        if lane is None:
            return
        failing: Sequence[Entry] = batch.entries
        if len(batch.entries) > 1:
            if index is not None and 0 <= index < len(batch.entries):
                failing = (batch.entries[index],)
            elif isinstance(error, RequestError) and error.status == _TOO_LARGE:
                failing = ()
                lane.batch_events = max(len(batch.entries) // 2, 1)
        for entry in reversed(batch.entries):
            if failing is batch.entries or entry in failing:
                self._settle(entry)
            else:
                entry.state = State.QUEUED
                lane.queued[entry] = None
                lane.queued.move_to_end(entry, last=False)
        self._go_on(batch.request.session, lane)
        for entry in failing:
            entry.owner.failed(entry, error)

    def abandon(self, error: Exception) -> int:
        """Fails everything that is left, what is under way included; what becomes of that is not heard any more. Returns how
        many entries.
        """
        left: list[Entry] = []
        for lane in self._lanes.values():
            if lane.batch is not None:
                left += lane.batch.entries
            left += lane.queued
        left += self._waiting
        self._waiting.clear()
        self._ready.clear()
        self._lanes.clear()
        self._events = self._bytes = 0
        for entry in left:
            entry.state = State.SETTLED
            entry.body = b""
        for entry in left:
            entry.owner.failed(entry, error)
        return len(left)

    def _lane_of(self, batch: Batch) -> _Lane | None:
        """The batch's lane; ``None`` if the batch was abandoned."""
        lane = self._lanes.get(batch.request.session)
        return lane if lane is not None and lane.batch is batch else None

    def _has_room(self, entry: Entry) -> bool:
        return self._events < self._buffer_events and self._bytes + entry.size <= self._buffer_bytes

    def _admit(self, entry: Entry) -> None:
        entry.state = State.QUEUED
        self._events += 1
        self._bytes += entry.size
        lane = self._lanes.get(entry.session)
        if lane is None:
            lane = self._lanes[entry.session] = _Lane(self._batch_events)
        lane.queued[entry] = None
        if lane.batch is None:
            self._ready[entry.session] = None

    def _admit_waiting(self) -> None:
        while self._waiting:
            entry = next(iter(self._waiting))
            if not self._has_room(entry):
                return
            del self._waiting[entry]
            self._admit(entry)
            entry.owner.admitted(entry)

    def _settle(self, entry: Entry) -> None:
        entry.state = State.SETTLED
        entry.body = b""
        self._events -= 1
        self._bytes -= entry.size

    def _go_on(self, session: str, lane: _Lane) -> None:
        lane.batch = None
        if lane.queued:
            self._ready[session] = None
        else:
            del self._lanes[session]
        self._admit_waiting()

    def _tidy(self, session: str, lane: _Lane) -> None:
        if not lane.queued and lane.batch is None:
            del self._lanes[session]
            self._ready.pop(session, None)
