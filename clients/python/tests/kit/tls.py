"""A server that speaks TLS by hand, so that a test can break it where no library would."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

GARBAGE = b"\x17\x03\x03\x00\x30" + b"g" * 48
"""A record that nobody can decrypt."""


async def read_request(tls: ssl.SSLObject, inner: ssl.MemoryBIO, reader: asyncio.StreamReader) -> None:
    """Until a body of JSON has ended."""
    request = b""
    while not request.endswith(b"}"):
        try:
            request += tls.read(65536)
        except ssl.SSLWantReadError:
            inner.write(await reader.read(65536))


async def shake_hands(
    tls: ssl.SSLObject,
    inner: ssl.MemoryBIO,
    outer: ssl.MemoryBIO,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Until both sides can speak."""
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outer.read())
            inner.write(await reader.read(65536))
    writer.write(outer.read())


class BrokenTls:
    """Answers the first request with garbage below TLS, and each one after that with ``answer``."""

    def __init__(self, certificate: Path, key: Path, answer: bytes) -> None:
        """The files of its certificate and key."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._answer = answer
        self.connections = 0
        """How many there were."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self.connections += 1
        is_first = self.connections == 1
        inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(inner, outer, server_side=True)
        await shake_hands(tls, inner, outer, reader, writer)
        await read_request(tls, inner, reader)
        if is_first:
            writer.write(GARBAGE)
        else:
            tls.write(self._answer)
            writer.write(outer.read())
        # Until the client has hung up.
        while await reader.read(65536):
            pass
        writer.close()
