"""Both variants against the real hub. At the end of each test the hub's ledger is balanced."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.kit.hub import HubProcess
from tests.kit.readers import END, Reader
from tests.kit.wait import eventually
from watertight_sse import Event, Gap, RequestError, StreamClosedError

Read = Callable[..., Reader]
QUICK: dict[str, Any] = {"replay": "all", "retry_base": 0.1, "retry_max": 0.5}
"""Comes back as soon as a hub does."""
STREAMS: dict[str, Any] = {**QUICK, "polling": False}
"""Long-polls are for ways that keep streams back; a hub that is away for long looks the same for a while."""


def _numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def _texts(numbers: list[str]) -> list[str]:
    """As they arrive: published as JSON."""
    return [json.dumps(number) for number in numbers]


def _publish(hub: HubProcess, numbers: list[str], portion: int = 10) -> None:
    for at in range(0, len(numbers), portion):
        hub.publish("s", numbers[at : at + portion])


async def test_history_then_live_events_each_once_and_in_order_over_a_kill_9_and_a_restart(
    read: Read,
) -> None:
    with HubProcess() as hub:
        _publish(hub, _numbers(1, 50))
        async with read(hub.url, "s", **QUICK) as reader:
            assert await reader.data(50) == _texts(_numbers(1, 50))
            _publish(hub, _numbers(51, 100))
            assert await reader.data(50) == _texts(_numbers(51, 100))
            last = reader.subscription.last_event_id
            waiting = reader.start_next()
            hub.kill()
            await eventually(lambda: reader.state == "reconnecting", "it notices")
            hub.start()
            _publish(hub, _numbers(101, 150))
            # The session began anew, which is told where it happened: before the first event of the new one.
            gap = await waiting
            assert isinstance(gap, Gap)
            assert (gap.reason, gap.first) == ("epoch", last)
            assert await reader.data(50) == _texts(_numbers(101, 150))
            await eventually(lambda: hub.subscribers() == 1, "there is one connection")


async def test_three_restarts_are_three_gaps_and_one_connection_at_the_end(read: Read) -> None:
    with HubProcess() as hub:
        async with read(hub.url, "s", **STREAMS) as reader:
            for life in range(1, 4):
                waiting = reader.start_next()
                await eventually(lambda: reader.state == "open", "it is open")
                hub.publish("s", [str(life)])
                item = await waiting
                if life > 1:
                    assert isinstance(item, Gap)
                    item = await reader.next()
                assert item == Event(reader.subscription.last_event_id, "message", f'"{life}"')
                hub.restart()
            waiting = reader.start_next()
            await eventually(lambda: hub.subscribers() == 1, "it is back")
            hub.publish("s", ["4"])
            assert isinstance(await waiting, Gap)
            assert await reader.data(1) == ['"4"']
            await eventually(lambda: hub.subscribers() == 1, "there is one connection")


async def test_a_hub_that_shuts_down_says_so_and_is_asked_again(read: Read) -> None:
    with HubProcess() as hub:
        async with read(hub.url, "s", **STREAMS) as reader:
            waiting = reader.start_next()
            await eventually(lambda: reader.state == "open", "it is open")
            hub.shut_down()
            await eventually(lambda: reader.state == "reconnecting", "it notices")
            codes = [
                status.error.code for status in reader.statuses if isinstance(status.error, StreamClosedError)
            ]
            assert codes == ["SHUTTING_DOWN"]
            hub.start()
            await eventually(lambda: reader.state == "open", "it is open again")
            hub.publish("s", ["1"])
            assert isinstance(await waiting, Gap)


@pytest.mark.parametrize("how", ["end", "delete"])
async def test_a_session_that_ends_ends_the_loop_behind_its_last_event(read: Read, how: str) -> None:
    with HubProcess() as hub:
        async with read(hub.url, "s", **QUICK) as reader:
            waiting = reader.start_next()
            await eventually(lambda: hub.subscribers() == 1, "it is there")
            hub.publish("s", ["1", "2"])
            getattr(hub, how)("s")
            item = await waiting
            assert isinstance(item, Event)
            assert (item.data, await reader.data(1), await reader.next()) == ('"1"', ['"2"'], END)
            assert reader.subscription.status.reason == "session-ended"
            await eventually(lambda: hub.subscribers() == 0, "the hub has no reader")


async def test_a_history_that_was_too_short_tells_how_many_events_are_missing(read: Read) -> None:
    with HubProcess("--max-history-per-session", "10") as hub:
        async with read(hub.url, "s", **QUICK) as reader:
            hub.publish("s", _numbers(1, 5))
            await reader.data(5)
            last = reader.subscription.last_event_id
        _publish(hub, _numbers(6, 50))
        async with read(hub.url, "s", last_event_id=last) as reader:
            gap = await reader.gap()
            assert (gap.reason, gap.missed) == ("evicted", 35)
            assert await reader.data(10) == _texts(_numbers(41, 50))


async def test_replay_asks_for_so_much_history(read: Read) -> None:
    with HubProcess() as hub:
        hub.publish("s", _numbers(1, 20))
        async with read(hub.url, "s", replay=3) as reader:
            assert await reader.data(3) == _texts(_numbers(18, 20))
        async with read(hub.url, "s") as reader:
            waiting = reader.start_next()
            await eventually(lambda: hub.subscribers() == 1, "it is there")
            hub.publish("s", ["new"])
            assert await waiting == Event(reader.subscription.last_event_id, "message", '"new"')


async def test_names_types_and_texts_of_any_kind(read: Read) -> None:
    session = "a b/ü?#"
    texts = ["", " ", "a\nb\n", "é😀\u2028", ":x", "data: y", "x" * 100_000]
    with HubProcess() as hub:
        async with read(hub.url, session, **QUICK) as reader:
            hub.publish(session, texts, "some type")
            found = [await reader.event() for _ in texts]
            assert [event.json() for event in found] == texts
            assert {event.type for event in found} == {"some type"}


async def test_a_hub_at_a_unix_socket(read: Read, tmp_path: Path) -> None:
    with HubProcess(listen=f"unix:{tmp_path}/hub.sock") as hub:
        async with read(hub.url, "s", **QUICK) as reader:
            waiting = reader.start_next()
            await eventually(lambda: reader.state == "open", "it is open")
            hub.restart()
            gap = await waiting
            assert isinstance(gap, Gap)
            assert gap.reason == "epoch"


async def test_a_hub_that_is_stopped_is_noticed_and_nothing_is_lost(read: Read) -> None:
    with HubProcess() as hub:
        async with read(hub.url, "s", read_timeout=0.5, connect_timeout=0.5, **STREAMS) as reader:
            waiting = reader.start_next()
            await eventually(lambda: reader.state == "open", "it is open")
            hub.stop_answering()
            try:
                await eventually(lambda: reader.state == "reconnecting", "it notices")
                assert "timed out" in str(reader.statuses[-1].error)
            finally:
                hub.answer_again()
            hub.publish("s", ["1"])
            item = await waiting
            assert isinstance(item, Event)
            assert item.data == '"1"'


_SECRET = "only for the hub that this test has started"


def _sign(claims: Mapping[str, object]) -> str:
    """A token with these claims (RFC 7515, HS256)."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = b".".join(part(json.dumps(value).encode()) for value in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.new(_SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + part(signature)).decode()


def _token_hub() -> HubProcess:
    hub = HubProcess("--token-secret", _SECRET, "--token-leeway", "0", "--stats-public")
    claims = {"sub": "operator", "exp": time.time() + 3_600, "watertight": {"publish": ["**"], "admin": True}}
    hub.use_token(_sign(claims))
    return hub


class _Minter:
    """Gives tokens of few seconds, and remembers what it was asked for."""

    def __init__(self, seconds: float) -> None:
        self.asked: list[bool] = []
        self.last_id = ""
        self._seconds = seconds

    def __call__(self, *, refresh: bool) -> str:
        self.asked.append(refresh)
        self.last_id = f"token-{len(self.asked)}"
        claims = {"sub": "ada", "jti": self.last_id, "watertight": {"subscribe": ["sessions/s"]}}
        return _sign({**claims, "exp": math.ceil(time.time()) + self._seconds})


async def test_a_token_that_expires_in_mid_stream_costs_no_event(read: Read) -> None:
    minter = _Minter(2)
    with _token_hub() as hub:
        async with read(hub.url, "s", token=minter, **STREAMS) as reader:
            published: list[str] = []
            found: list[str] = []
            while len(minter.asked) < 3:
                published.append(str(len(published)))
                hub.publish("s", [published[-1]])
                found += await reader.data(1)
                await asyncio.sleep(0.05)
            assert found == _texts(published)
            assert minter.asked == [False, True, True], "a fresh one after each TOKEN_EXPIRED"


async def test_a_token_that_is_revoked_ends_it(read: Read) -> None:
    minter = _Minter(600)
    with _token_hub() as hub:
        async with read(hub.url, "s", token=minter, **QUICK) as reader:
            waiting = reader.start_next()
            await eventually(lambda: hub.subscribers() == 1, "it is there")
            hub.call(
                "POST",
                "/tokens/revoke",
                json.dumps({"jti": minter.last_id}),
                {"content-type": "application/json"},
            )
            with pytest.raises(StreamClosedError, match="TOKEN_REVOKED"):
                await waiting


async def test_a_session_that_the_token_does_not_grant_is_refused_with_the_hubs_words(read: Read) -> None:
    with _token_hub() as hub:
        async with read(hub.url, "other", token=_Minter(600), **QUICK) as reader:
            with pytest.raises(RequestError, match="403 FORBIDDEN"):
                await reader.next()
        async with read(hub.url, "s", token="nonsense", **QUICK) as reader:
            with pytest.raises(RequestError, match="401 INVALID_TOKEN"):
                await reader.next()


async def test_twenty_at_once_all_get_all(read: Read) -> None:
    with HubProcess() as hub:
        readers = [read(hub.url, "s", **QUICK) for _ in range(20)]
        waiting = [reader.start_next() for reader in readers]
        await eventually(lambda: hub.subscribers() == 20, "all are there")
        _publish(hub, _numbers(1, 100))
        for reader, first in zip(readers, waiting, strict=True):
            item = await first
            assert isinstance(item, Event)
            assert [item.data, *await reader.data(99)] == _texts(_numbers(1, 100))
            await reader.__aexit__(None, None, None)
