"""What belongs to the process: its broadcaster, and the order in which things end."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

from watertight_sse import _hub
from watertight_sse.hub._errors import HubError
from watertight_sse.hub._wakes import close_queues_of_loops_at_rest, forget_loops

if TYPE_CHECKING:
    from watertight_sse.hub._broadcaster import Broadcaster

_EXIT_GRACE_SECONDS: Final = 0.5
"""How long readers of other threads and of sockets have to take their closing event when the process ends."""

_BACK_SECONDS: Final = 2.0
"""How long is waited then for threads that are in native code. They are woken before, so that takes no time."""


class _Process:
    """The broadcasters of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.default: Broadcaster | None = None
        self.running: weakref.WeakSet[Broadcaster] = weakref.WeakSet()
        self.is_ending = False

    def forked(self) -> None:
        """In a child: broadcasters that the parent has started are not its own. One that was only made is."""
        self.lock = threading.Lock()
        if self.default is not None and self.default.has_begun:
            self.default = None
        self.running = weakref.WeakSet()


_PROCESS: Final = _Process()


def default_broadcaster(make: Callable[[], Broadcaster]) -> Broadcaster:
    """The process's own: made at the first call, and anew in a child of it."""
    with _PROCESS.lock:
        if _PROCESS.default is None:
            _PROCESS.default = make()
        return _PROCESS.default


def note_running(broadcaster: Broadcaster) -> None:
    """Has it closed when the process ends."""
    _PROCESS.running.add(broadcaster)


def stopped() -> HubError:
    """What a broadcaster says that was stopped: by its application, or because the process ends."""
    if _PROCESS.is_ending:
        why = "the process ends: its hub ends with its main thread, before other threads do"
    else:
        why = "the broadcaster was stopped; start() begins anew"
    return HubError(why, "SHUTTING_DOWN", False)


def _forked() -> None:
    _hub.forked()
    _PROCESS.forked()
    forget_loops()


def _end() -> None:
    """Ends everything native while the interpreter still works.

    A thread that comes back to an interpreter that is going is ended where it stands. So those that wait for events are
    told, and no thread may leave for native code any more.
    """
    _PROCESS.is_ending = True
    try:
        with _told("closing queues"):
            close_queues_of_loops_at_rest()
        for broadcaster in list(_PROCESS.running):
            # Refused: another thread has just closed it.
            with _told("stopping a hub"), contextlib.suppress(HubError):
                broadcaster.close(_EXIT_GRACE_SECONDS)
    finally:
        _hub.exiting(_BACK_SECONDS)


@contextlib.contextmanager
def _told(what: str) -> Generator[None, None, None]:
    """An error is shown, and what comes next is done all the same."""
    try:
        yield
    except Exception as error:
        print(f"watertight_sse.hub: {what} at the end of the process: {error!r}", file=sys.stderr)


os.register_at_fork(after_in_child=_forked)
# As `concurrent.futures` does it: before threads are joined that are no daemons, so that one that waits for an event does not
# keep the process from ending. Python has no public name for it.
_register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
_register(_end)
