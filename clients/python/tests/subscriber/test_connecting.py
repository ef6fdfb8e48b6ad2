"""How a subscription reaches a server: over TLS, through proxies, by a transport of the application's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kit.certificates import make_certificate
from tests.kit.hub import HubProcess
from tests.kit.readers import END, Reader, Variant
from tests.kit.server import Server
from tests.kit.wait import eventually
from watertight_sse import Event

Read = Callable[..., Reader]
FAST: dict[str, Any] = {"retry_base": 0.001}
_PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _PROXY_NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_over_tls_with_a_certificate_that_is_trusted(read: Read, tmp_path: Path, host: str) -> None:
    certificate, key, context = make_certificate(tmp_path)
    with HubProcess("--tls-cert", str(certificate), "--tls-key", str(key), tls=context) as hub:
        hub.publish("s", ["1"])
        url = f"https://{host}:{hub.port}"
        async with read(url, "s", replay="all", verify=context, **FAST) as reader:
            assert await reader.data(1) == ['"1"']
            waiting = reader.start_next()
            await reader.close()
            assert await waiting == END


async def test_a_certificate_that_nobody_trusts_is_refused_and_no_token_is_sent(
    read: Read, tmp_path: Path
) -> None:
    certificate, key, context = make_certificate(tmp_path)
    with HubProcess("--tls-cert", str(certificate), "--tls-key", str(key), tls=context) as hub:
        options = {"token": "t", "polling": False, **FAST}
        async with read(f"https://localhost:{hub.port}", "s", **options) as reader:
            waiting = reader.start_next()
            await eventually(lambda: len(reader.statuses) > 2, "it fails, and tries again")
            assert "SSLCertVerificationError" in str(reader.statuses[1].error)
            assert hub.stats()["totalSubscribers"] == 0
            await reader.close()
            assert await waiting == END


async def test_through_the_proxy_that_it_is_told(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with Server() as proxy:
        url = proxy.url.replace("http://", "http://ada:secret@")
        async with read("http://hub.invalid", "s", proxy=url, **FAST) as reader:
            waiting = reader.start_next()
            peer = await proxy.accept()
            assert peer.path == "http://hub.invalid/sessions/s/events"
            assert peer.headers["proxy-authorization"] == "Basic YWRhOnNlY3JldA=="
            await peer.stream("data: x\n\n", hub=True)
            assert await waiting == Event("", "message", "x")


async def test_through_the_proxy_that_the_environment_names_but_for_whom_it_excepts(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server() as proxy, Server() as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with read("http://hub.invalid", "s", **FAST) as reader:
            waiting = reader.start_next()
            # A redirect chooses anew.
            await (await proxy.accept()).answer(307, {"location": f"{server.url}/direct"})
            peer = await server.accept()
            assert peer.path == "/direct"
            await peer.stream("data: x\n\n", hub=True)
            assert await waiting == Event("", "message", "x")


@pytest.mark.parametrize("proxy", ["ftp://p", "p:8080", "http://"])
async def test_what_is_no_proxy_is_refused(read: Read, proxy: str) -> None:
    with pytest.raises(ValueError, match="proxy is a URL"):
        read("http://hub", "s", proxy=proxy)


async def test_a_transport_of_the_applications_own_is_used_and_not_closed(
    variant: Variant, read: Read
) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) > 1:
            return httpx.Response(204)
        return httpx.Response(
            200, headers={"content-type": "text/event-stream"}, content=b"id: 7\ndata: x\n\n"
        )

    class Transport(httpx.MockTransport):
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

        async def aclose(self) -> None:
            self.is_closed = True

    transport = Transport(answer)
    async with read("http://hub", "s", transport=transport, token="t", **FAST) as reader:
        assert [await reader.next(), await reader.next()] == [Event("7", "message", "x"), END]
    assert [request.headers.get("last-event-id") for request in asked] == [None, "7"]
    assert asked[0].headers["authorization"] == "Bearer t"
    assert not transport.is_closed, variant


async def test_a_name_that_nobody_knows_is_an_error_that_passes(read: Read) -> None:
    async with read("http://hub.invalid", "s", polling=False, **FAST) as reader:
        waiting = reader.start_next()
        await eventually(lambda: len(reader.statuses) > 1, "it fails")
        assert str(reader.statuses[1].error).startswith("no connection: ConnectError")
        await reader.close()
        assert await asyncio.wait_for(waiting, 20) == END
