"""Waits of a plain subscription, which another thread can end: in a back-off, or in a socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

FOREVER = 1_000_000.0
"""So many seconds are no limit: more than the system's timers take may be refused."""


class Interrupted(OSError):  # noqa: N818 - it says that something was wished, not that something went wrong
    """Another thread wants the wait to end."""


class Watch:
    """One deadline and one socket at a time. ``interrupt`` may be called in any thread, also in a signal handler."""

    def __init__(self) -> None:
        """No deadline and no socket yet."""
        # Reentrant, because a signal handler may interrupt in the thread that waits.
        self._changed = threading.Condition(threading.RLock())
        self._is_interrupted = False
        self._sockets: list[socket.socket] = []
        self._deadline = 0.0

    def begin(self) -> None:
        """What was interrupted has ended: from now on waits are waits again."""
        with self._changed:
            self._is_interrupted = False

    def set_deadline(self, deadline: float) -> None:
        """Until then (``time.monotonic``) all reads, writes and connections together may take."""
        self._deadline = deadline

    def left(self) -> float | None:
        """How long the next operation of a socket may take, seconds; ``None`` without a limit.

        Raises:
            Interrupted: not at all.
        """
        with self._changed:
            if self._is_interrupted:
                raise Interrupted("closed")
        left = self._deadline - time.monotonic()
        # A socket's time-out of zero would mean that it does not wait at all, and says so otherwise.
        return max(left, 0.001) if left < FOREVER else None

    def sleep(self, seconds: float) -> None:
        """Waits, but not beyond an interruption."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._is_interrupted and (left := until - time.monotonic()) > 0:
                self._changed.wait(min(left, FOREVER))

    def interrupt(self) -> None:
        """Ends the wait that there is, and those that are to come until ``begin``."""
        with self._changed:
            self._is_interrupted = True
            self._changed.notify_all()
            for held in self._sockets:
                _shut(held)

    @contextmanager
    def holding(self, held: socket.socket) -> Generator[None, None, None]:
        """While a read or a write of this socket waits, ``interrupt`` ends it."""
        with self._changed:
            if self._is_interrupted:
                raise Interrupted("closed")
            self._sockets.append(held)
        try:
            yield
        finally:
            with self._changed:
                self._sockets.remove(held)


def _shut(held: socket.socket) -> None:
    try:
        # Not the method of an `ssl.SSLSocket`, which takes the state away under the reader's hands.
        socket.socket.shutdown(held, socket.SHUT_RDWR)
    except OSError:
        # The peer was faster: then the reader knows already.
        return
