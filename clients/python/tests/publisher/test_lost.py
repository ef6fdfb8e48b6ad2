"""What is no answer is waited out, whoever says so: httpx, TLS or the system."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.certificates import make_certificate
from tests.kit.server import Server
from tests.kit.tls import BrokenTls
from tests.kit.wait import soon
from tests.publisher.variants import AnyPublisher
from watertight_sse._retry_after import retry_after

Make = Callable[..., AnyPublisher]
IDS = b'{"ids":["1"]}'


async def test_a_connection_that_breaks_below_tls_is_one_that_is_lost(
    publisher: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key, _context = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    answer = b"HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(IDS)
    broken = BrokenTls(certificate, key, answer + IDS)
    server = await asyncio.start_server(broken.serve, "127.0.0.1")
    async with server, publisher(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as to:
        assert await soon(to.publish("s", 1), "it is published") == "1"
        assert broken.connections == 2


async def test_certificates_that_are_missing_are_no_outage(
    publisher: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    async with publisher("https://127.0.0.1:1") as to:
        with pytest.raises(OSError, match="No such file"):
            await soon(to.publish("s", 1), "it says so at once")


async def test_a_wait_until_a_year_that_no_calendar_has_is_none(publisher: Make) -> None:
    async with Server() as server, publisher(server.url) as to:
        task = asyncio.create_task(to.publish("s", 1))
        never = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
        await (await server.accept()).answer(503, {"retry-after": never})
        await (await server.accept()).answer(202, body=IDS)
        assert await soon(task, "it is published") == "1"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7.0),
        ("0000000000000000000000000000005", 5.0),
        ("9" * 400, float("inf")),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 37.0),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 37.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("soon", None),
        ("", None),
    ],
)
def test_what_a_server_asks_to_wait_is_read_or_passed_over(told: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": told}, 784111740.0) == seconds
