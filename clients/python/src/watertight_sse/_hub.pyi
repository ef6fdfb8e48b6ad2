"""The native part of ``watertight_sse.hub``. Not for applications: it may change with any version."""

from typing import TypedDict, final

from watertight_sse.hub._events import QueueEvent

__version__: str

class Figures(TypedDict):
    """The hub's figures."""

    sessions: int
    events: int
    subscribers: int
    used_bytes: int
    rung: str
    uptime_ms: int
    stuck: str | None
    owners: dict[str, int]
    ledger: dict[str, tuple[int, int, int]]
    gaps_by_reason: dict[str, int]
    ends: dict[str, int]
    events_published: int
    events_delivered: int
    gaps: int
    slow_consumers: int
    events_expired: int
    events_shed: int
    sessions_expired: int
    cleanups: int
    last_cleanup_ms: int
    pump_restarts: int
    keeper_restarts: int

@final
class Bell:
    """Wakes one event loop."""

    def __new__(cls) -> Bell: ...
    def fileno(self) -> int: ...
    def answer(self) -> list[int]: ...

@final
class Pending:
    """Something that is not done yet."""

    def poll(self, bell: Bell, number: int) -> list[str] | None: ...
    def wait(self, timeout: float | None = None) -> list[str] | None: ...

@final
class Reader:
    """A cursor in a session's log."""

    @property
    def is_over(self) -> bool: ...
    @property
    def code(self) -> str | None: ...
    @property
    def start(self) -> str: ...
    def take(self) -> list[QueueEvent]: ...
    def wait(self, timeout: float | None = None) -> list[QueueEvent]: ...
    def close(self) -> None: ...
    def opening(self) -> str: ...

@final
class Server:
    """A service that serves."""

    @property
    def addresses(self) -> list[str]: ...
    @property
    def trims(self) -> int: ...
    def close(self, grace: float) -> None: ...

@final
class Hub:
    """A hub with its threads."""

    def __new__(
        cls,
        *,
        max_queue_size: int,
        max_history_per_session: int,
        event_ttl: float | None,
        session_ttl: float,
        cleanup_interval: float,
        max_subscriber_idle_time: float,
        memory_warning_bytes: int,
        memory_critical_bytes: int,
    ) -> Hub: ...
    def publish(
        self, session: str, event_type: str, data: str, ttl: float | None = None, reopen: bool = False
    ) -> tuple[str, Pending | None]: ...
    def publish_batch(
        self, session: str, events: list[tuple[str, str, float | None]], reopen: bool = False
    ) -> Pending: ...
    def end(
        self, session: str, last: tuple[str, str, float | None] | None = None, keep: float | None = None
    ) -> str: ...
    def subscribe(
        self,
        session: str,
        after: str | None = None,
        replay: str | None = None,
        bell: Bell | None = None,
        number: int = 0,
    ) -> Reader: ...
    def stats(self) -> Figures: ...
    def clean_up(self) -> None: ...
    def serve(self, settings: list[tuple[str, str]]) -> Server: ...
    def stop(self, grace: float) -> Pending: ...
    @property
    def is_of_the_parent(self) -> bool: ...
    def close(self) -> None: ...

def forked() -> None:
    """Says that this process is a child of the one that made what there is."""

def exiting(timeout: float) -> bool:
    """Lets no thread leave the interpreter any more; whether all that had are back in ``timeout`` seconds."""
