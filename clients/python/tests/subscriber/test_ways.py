"""What stands between a subscription and the hub: proxies that keep streams back, refuse, break and freeze."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.dice import dice as dice_of
from tests.kit.hub import HubProcess
from tests.kit.proxy import Mode, Proxy
from tests.kit.readers import Reader
from tests.kit.wait import eventually
from watertight_sse._subscriber import core, fallback

Read = Callable[..., Reader]
QUICK: dict[str, Any] = {"replay": "all", "retry_base": 0.1, "retry_max": 0.3}


def _texts(first: int, last: int) -> list[str]:
    return [json.dumps(str(number)) for number in range(first, last + 1)]


def _publish(hub: HubProcess, first: int, last: int, portion: int = 7) -> None:
    for at in range(first, last + 1, portion):
        hub.publish("s", [str(number) for number in range(at, min(at + portion, last + 1))])


@pytest.mark.parametrize("mode", ["buffer", "buffer-body"])
async def test_where_streams_are_kept_back_long_polls_bring_everything_and_streams_come_back(
    read: Read, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seconds instead of quarters of a minute.
    monkeypatch.setattr(fallback, "PROBE_MIN", 0.5)
    monkeypatch.setattr(core, "POLL_WAIT", 1)
    with HubProcess() as hub:
        async with (
            Proxy(hub.port) as proxy,
            read(proxy.url, "s", connect_timeout=1, **QUICK) as reader,
        ):
            proxy.mode = mode
            _publish(hub, 1, 20)
            assert await reader.data(20) == _texts(1, 20)
            assert reader.state == "polling"
            waiting = reader.start_next()
            _publish(hub, 21, 40)
            item = await waiting
            assert [getattr(item, "data", item), *await reader.data(19)] == _texts(21, 40)
            polls = [request for request in proxy.requests if "wait=" in request]
            assert polls[0].endswith("wait=0&limit=100&replay=all")
            proxy.mode = "pass"
            waiting = reader.start_next()
            await eventually(lambda: reader.state == "open", "a stream comes through again")
            _publish(hub, 41, 60)
            item = await waiting
            assert [getattr(item, "data", item), *await reader.data(19)] == _texts(41, 60)
            await eventually(lambda: hub.open() == 1, "there is one connection")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_cut_off_at_random_points_every_event_comes_once(read: Read, seed: int) -> None:
    dice = dice_of(seed)
    with HubProcess() as hub:
        async with (
            Proxy(hub.port) as proxy,
            read(proxy.url, "s", polling=False, **{**QUICK, "retry_max": 0.1}) as reader,
        ):
            proxy.cuts = [1 + int(dice.random() ** 2 * 1_500) for _ in range(25)]
            # As few at a time as to be within what a newcomer can catch up with.
            _publish(hub, 1, 400)
            assert await reader.data(400) == _texts(1, 400)
            waiting = reader.start_next()
            while proxy.cuts:
                await eventually(lambda: hub.subscribers() == 1, "it is back")
                hub.publish("s", ["x" * 1_000])
                await waiting
                waiting = reader.start_next()
            hub.publish("s", ["last"])
            while getattr(item := await waiting, "data", None) != '"last"':
                assert not hasattr(item, "reason"), item
                waiting = reader.start_next()
            await eventually(lambda: proxy.open == 1, "there is one connection")


async def test_an_outage_of_the_proxy_loses_nothing(read: Read) -> None:
    with HubProcess() as hub:
        async with Proxy(hub.port) as proxy, read(proxy.url, "s", **QUICK) as reader:
            _publish(hub, 1, 20)
            assert await reader.data(20) == _texts(1, 20)
            waiting = reader.start_next()
            proxy.mode = "refuse"
            proxy.cut()
            await eventually(lambda: len(proxy.requests) > 6, "it tries again, both ways")
            _publish(hub, 21, 40)
            proxy.mode = "pass"
            item = await waiting
            assert [getattr(item, "data", item), *await reader.data(19)] == _texts(21, 40)
            waiting = reader.start_next()
            await eventually(lambda: reader.state == "open", "it streams again")
            _publish(hub, 41, 41)
            assert getattr(await waiting, "data", None) == '"41"'


async def test_a_way_that_freezes_is_noticed_and_left(read: Read) -> None:
    with HubProcess() as hub:
        async with (
            Proxy(hub.port) as proxy,
            read(proxy.url, "s", read_timeout=0.5, connect_timeout=0.5, polling=False, **QUICK) as reader,
        ):
            _publish(hub, 1, 20)
            assert await reader.data(20) == _texts(1, 20)
            waiting = reader.start_next()
            proxy.mode = "freeze"
            _publish(hub, 21, 40)
            await eventually(lambda: reader.state == "reconnecting", "it notices")
            proxy.mode = "pass"
            item = await waiting
            assert [getattr(item, "data", item), *await reader.data(19)] == _texts(21, 40)
            await eventually(lambda: proxy.open == 1, "the frozen ones are given back")
