"""What can go wrong between a publisher and its caller, beside what a hub refuses."""

from __future__ import annotations

from watertight_sse._errors import WatertightError


class PublisherClosedError(WatertightError):
    """The publisher was closed. An event that was under way then may have reached the hub."""

    def __str__(self) -> str:
        return "the publisher is closed"


class BufferFullError(WatertightError):
    """There was no room in the buffer, and the publisher drops what does not fit (``when_full="drop"``)."""

    @property
    def can_retry(self) -> bool:
        """There may be room later."""
        return True

    def __str__(self) -> str:
        return "the publisher's buffer is full: the event was dropped"


class StoppedError(WatertightError):
    """``publish_many`` came so far, and no further. ``__cause__`` says why.

    All events before the one that failed were published, none behind it. Where the cause is not a refusal, the batch with that
    event may have reached the hub all the same.
    """

    def __init__(self, count: int, last_id: str | None) -> None:
        """What had been published."""
        super().__init__(count, last_id)
        self.count = count
        """Events that the hub has taken: so many from the beginning."""
        self.last_id = last_id
        """The id of the last of them."""

    @property
    def can_retry(self) -> bool:
        """Whether the cause may pass."""
        return isinstance(self.__cause__, WatertightError) and self.__cause__.can_retry

    def __str__(self) -> str:
        return f"stopped after {self.count} events: {self.__cause__}"


class UnsentError(WatertightError):
    """Events of ``enqueue`` were not published, or the time to close was over before all were sent. ``__cause__`` is the first
    reason.
    """

    def __init__(self, count: int) -> None:
        """How many."""
        super().__init__(count)
        self.count = count
        """Events that are not known to be published."""

    def __str__(self) -> str:
        reason = f": {self.__cause__}" if self.__cause__ is not None else ""
        return f"{self.count} events are not known to be published{reason}"
