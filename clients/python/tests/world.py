"""A world without sockets, with a clock of its own: carries out what the logic asks for, as a test has scripted it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from watertight_sse import Event, Gap, Status
from watertight_sse.effects import AskToken, Close, Effect, Head, Move, Read, Request, Send, Sleep, Steps, Tell
from watertight_sse.errors import ConnectionFailed, TimedOut, TokenFailed, WatertightError
from watertight_sse.machine import Machine
from watertight_sse.parser import Comment
from watertight_sse.plan import Plan, hub_plan

T = TypeVar("T")

STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}

Told = Event | Gap | Comment | Status
Chunk = tuple[float, bytes] | bytes | str


@dataclass
class Answer:
    """What one request gets. A chunk may come after some seconds. Then it ends, or stays open and mute."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(STREAM))
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    mute: bool = False
    after: float = 0.0


def stream(*chunks: Chunk, mute: bool = False, **headers: str) -> Answer:
    return Answer(200, {**STREAM, **{name.replace("_", "-"): value for name, value in headers.items()}}, list(chunks), mute)


def status(code: int, body: str = "", **headers: str) -> Answer:
    return Answer(code, {name.replace("_", "-"): value for name, value in headers.items()}, [body] if body else [])


def polled(body: str, after: float = 0.0) -> Answer:
    return Answer(200, dict(JSON), [body], after=after)


RESET = "reset"
"""In place of an answer: the connection breaks before one comes."""


class World:
    """Serves answers one after the other; the run ends when there are none left."""

    def __init__(
        self,
        answers: Iterable[Answer | str],
        *,
        random: Callable[[], float] = lambda: 1.0,
        token: Callable[[bool], str] | str | None = None,
    ) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.sent_at: list[float] = []
        self.told: list[Told] = []
        self.positions: list[str] = []
        self.now = 1000.0
        self.random = random
        self.token = token
        self.asked: list[bool] = []
        self._open: Answer | None = None
        self._chunks: list[Chunk] = []
        self.open_max = 0

    def subscribe(self, plan: Plan | None = None, /, **options: Any) -> WatertightError | None:
        """Runs a subscription until the script is over, or it is; gives the error with which it is."""
        has_token = self.token is not None
        options = {"has_token": has_token, "can_refresh": callable(self.token), **options}
        plan = plan or hub_plan("http://hub.test", "demo", **options)
        steps = Machine(plan, lambda: self.now, self.random).run()
        try:
            self.drive(steps)
        except WatertightError as error:
            return error
        except _ScriptOverError:
            pass
        return None

    def drive(self, steps: Steps[T]) -> T:
        result: object = None
        failure: WatertightError | None = None
        try:
            while True:
                try:
                    effect = steps.send(result) if failure is None else steps.throw(failure)
                except StopIteration as end:
                    assert self._open is None, "the answer was given back"
                    value: T = end.value
                    return value
                result = failure = None
                try:
                    result = self._perform(effect)
                except WatertightError as error:
                    failure = error
        finally:
            steps.close()

    def header(self, name: str) -> list[str | None]:
        """Of all requests."""
        return [request.headers.get(name) for request in self.requests]

    def of(self, kind: type[T]) -> list[T]:
        return [item for item in self.told if isinstance(item, kind)]

    @property
    def data(self) -> list[str]:
        return [event.data for event in self.of(Event)]

    def _perform(self, effect: Effect) -> object:
        if isinstance(effect, Tell | Move):
            self.positions.append(effect.position)
            if isinstance(effect, Tell):
                self.told.append(effect.item)
        elif isinstance(effect, Sleep):
            self.now += effect.delay
        elif isinstance(effect, AskToken):
            return self._ask(effect)
        elif isinstance(effect, Send):
            return self._send(effect)
        elif isinstance(effect, Read):
            return self._read(effect)
        else:
            assert isinstance(effect, Close)
            self._open = None
        return None

    def _ask(self, ask: AskToken) -> str:
        self.asked.append(ask.refresh)
        if not callable(self.token):
            return self.token or ""
        try:
            return self.token(ask.refresh)
        except ValueError as error:
            raise TokenFailed("cannot get a token") from error

    def _send(self, send: Send) -> Head:
        assert self._open is None, "the answer before was given back"
        if not self.answers:
            raise _ScriptOverError
        self.requests.append(send.request)
        self.sent_at.append(self.now)
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            raise ConnectionFailed("the connection failed")
        if answer.after > send.limit:
            self.now += send.limit
            raise TimedOut(send.phase, send.limit)
        self.now += answer.after
        self._open, self._chunks = answer, list(answer.chunks)
        return Head(answer.status, answer.headers)

    def _read(self, read: Read) -> bytes | None:
        assert self._open is not None, "there is an answer to read"
        if not self._chunks and not self._open.mute:
            return None
        chunk = self._chunks[0] if self._chunks else (float("inf"), b"")
        after, data = chunk if isinstance(chunk, tuple) else (0.0, chunk)
        if after > read.limit:
            self.now += read.limit
            raise TimedOut(read.phase, read.limit)
        self._chunks.pop(0)
        self.now += after
        return data.encode() if isinstance(data, str) else data


class _ScriptOverError(Exception):
    """There is no answer left."""
