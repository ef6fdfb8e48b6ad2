"""How long a server asks to wait: ``Retry-After`` (RFC 9110, section 10.2.3). Pure."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds to wait, named as such or by a date; ``None`` if nothing that can be understood is said.

    A date is compared with the answer's own ``Date``: the server's clock is then compared with itself. ``wall`` is the time
    now, seconds since 1970, where there is none.
    """
    told = headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit():
        # More digits than a float has are longer than anybody waits.
        return float(told)
    then = _seconds(told)
    if then is None:
        return None
    now = _seconds(headers.get("date", "").strip())
    return max(then - (wall if now is None else now), 0.0)


def _seconds(text: str) -> float | None:
    """A date as seconds since 1970; ``None`` for what is none, or lies where no calendar reaches."""
    try:
        date = parsedate_to_datetime(text)
        # HTTP's dates are in GMT, whatever stands for it.
        return (date if date.tzinfo is not None else date.replace(tzinfo=datetime.timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
