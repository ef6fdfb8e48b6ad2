"""The same as ``watertight_sse``, without asyncio: for threads, scripts, and notebooks.

::

    from watertight_sse.sync import subscribe

    with subscribe("https://events.example.com", "orders", token=get_token) as events:
        for event in events:
            ...
"""

from watertight_sse._publisher._sync import Publisher
from watertight_sse._subscriber.plain import Subscription, subscribe
from watertight_sse._token import PlainTokenSource as TokenSource

__all__ = ["Publisher", "Subscription", "TokenSource", "subscribe"]
