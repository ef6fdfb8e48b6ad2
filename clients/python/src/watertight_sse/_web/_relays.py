"""How many streams are relayed, and the end of all of them when the server stops.

A server waits for its open streams before it tells the application that it stops. So while there are any, whether it stops is
looked at: one timer for all streams of an event loop.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from watertight_sse._web._problem import GatewayError

LOOK_EVERY = 0.25
"""How often it is looked at, seconds: a stop is so much later than it could be."""


class Place:
    """One relayed stream's place. Held from its first message to its last."""

    __slots__ = ("_loop", "end")

    def __init__(self) -> None:
        """Belongs to the running loop."""
        self._loop = asyncio.get_running_loop()
        self.end: asyncio.Future[None] = self._loop.create_future()
        """Done when the stream is to end."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The stream's loop."""
        return self._loop

    def close(self) -> None:
        """Asks the stream to end; from any thread."""
        # A loop that was closed has no streams any more.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._close)

    def _close(self) -> None:
        if not self.end.done():
            self.end.set_result(None)


class Relays:
    """The places that are taken."""

    def __init__(self, most: int, *, is_server_stopping: Callable[[], bool] | None = None) -> None:
        """``most`` at once. Whether the server stops is asked of ``is_server_stopping``; default: of uvicorn, if it runs."""
        self._most = most
        self._is_server_stopping = uvicorn_is_stopping if is_server_stopping is None else is_server_stopping
        self._is_stopped = False
        self._places: set[Place] = set()
        self._looking: set[asyncio.AbstractEventLoop] = set()
        """Loops that have a timer. Each goes with the loop's last place."""

    @property
    def count(self) -> int:
        """How many streams are under way."""
        return len(self._places)

    @property
    def is_stopping(self) -> bool:
        """Whether all are to end, and no further one may begin."""
        return self._is_stopped or self._is_server_stopping()

    def enter(self) -> Place:
        """Takes a place.

        Raises:
            GatewayError: all are taken, or the server stops.
        """
        if self.is_stopping:
            raise shutting_down()
        loop = asyncio.get_running_loop()
        if loop not in self._looking or len(self._places) >= self._most:
            self._forget_closed_loops()
        if len(self._places) >= self._most:
            raise GatewayError(503, "TOO_MANY_STREAMS", f"{self._most} streams are relayed already")
        place = Place()
        self._places.add(place)
        if loop not in self._looking:
            self._looking.add(loop)
            loop.call_later(LOOK_EVERY, self._look, loop)
        return place

    def leave(self, place: Place) -> None:
        """Gives it back."""
        self._places.discard(place)

    def begin(self) -> None:
        """Lets streams begin again after ``stop``."""
        self._is_stopped = False

    def stop(self) -> None:
        """Ends all, and lets none begin until ``begin``; from any thread."""
        self._is_stopped = True
        for place in tuple(self._places):
            place.close()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        # Copied at once: loops of other threads change it meanwhile.
        places = [place for place in tuple(self._places) if place.loop is loop]
        if not places:
            self._looking.discard(loop)
            return
        if self._is_server_stopping():
            for place in places:
                place.close()
        loop.call_later(LOOK_EVERY, self._look, loop)

    def _forget_closed_loops(self) -> None:
        """Those that were closed before their timer came, or with streams in them."""
        self._looking.difference_update([loop for loop in tuple(self._looking) if loop.is_closed()])
        self._places.difference_update([place for place in tuple(self._places) if place.loop.is_closed()])


def shutting_down() -> GatewayError:
    """503: the server stops."""
    return GatewayError(503, "SHUTTING_DOWN", "the server is stopping")


def uvicorn_is_stopping() -> bool:
    """Whether uvicorn runs this process and was told to stop: it has the signals' handlers, and says so there."""
    for number in (signal.SIGINT, signal.SIGTERM):
        server = getattr(signal.getsignal(number), "__self__", None)
        if getattr(server, "should_exit", False) is True:
            return True
    return False
