"""How a plain subscription sends requests: httpcore's connections, with the deadline of the subscription over each
read and write, and sockets that another thread can shut."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import httpcore
import httpx

from watertight_sse._subscriber.network import certificates_for, proxy_for
from watertight_sse._subscriber.watch import Watch

CORE_FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
)
"""What httpcore raises beside ``OSError``."""

TIMEOUTS = (httpcore.TimeoutException, httpx.TimeoutException)


class _Stream(httpcore.NetworkStream):
    """A connection. What httpcore thinks of time-outs does not count."""

    def __init__(self, inner: httpcore.NetworkStream, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with self._watch.holding(self._inner.get_extra_info("socket")):
            return self._inner.read(max_bytes, self._watch.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with self._watch.holding(self._inner.get_extra_info("socket")):
            self._inner.write(buffer, self._watch.left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        with self._watch.holding(self._inner.get_extra_info("socket")):
            return _Stream(
                self._inner.start_tls(ssl_context, server_hostname, self._watch.left()), self._watch
            )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, watch: Watch) -> None:
        self._inner = httpcore.SyncBackend()
        self._watch = watch

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.connect_tcp(host, port, self._watch.left(), local_address, socket_options)
        return _Stream(stream, self._watch)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.connect_unix_socket(path, self._watch.left(), socket_options), self._watch)

    def sleep(self, seconds: float) -> None:
        self._watch.sleep(seconds)


class PlainTransport(httpx.BaseTransport):
    """For one subscription: one connection at a time, through the proxy that the environment names, if it names one."""

    def __init__(
        self, watch: Watch, verify: ssl.SSLContext | None, socket: str | None, proxy: str | None
    ) -> None:
        """``socket``: the path of a Unix socket. ``proxy``: whatever the environment says, this one."""
        self._watch = watch
        self._verify = verify
        self._socket = socket
        self._proxy = proxy
        # The pool of one subscription, for the way that its last request went.
        self._pool: httpcore.ConnectionPool | None = None
        self._way: tuple[str | None, ssl.SSLContext] | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Sends it. Its answer's connection is given back when the answer is closed."""
        pool = self._pool_for(request.url)
        answer = pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=cast("dict[str, Any]", answer.extensions),  # pyright: ignore[reportUnknownMemberType]  # httpcore leaves it open
        )

    def close(self) -> None:
        """Closes the connection that is kept, if there is one."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _pool_for(self, url: httpx.URL) -> httpcore.ConnectionPool:
        own = self._proxy is not None or self._socket is not None
        proxy = self._proxy if own else proxy_for(url)
        context = self._verify or certificates_for(url, proxy)
        if self._pool is None or self._way != (proxy, context):
            self.close()
            self._pool = self._make_pool(proxy, context)
            self._way = (proxy, context)
        return self._pool

    def _make_pool(self, proxy: str | None, context: ssl.SSLContext) -> httpcore.ConnectionPool:
        backend = _Backend(self._watch)
        if proxy is None:
            return httpcore.ConnectionPool(
                context, max_connections=1, uds=self._socket, network_backend=backend
            )
        parts = urlsplit(proxy)
        user = (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else None
        plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        if parts.scheme.startswith("socks5"):
            return httpcore.SOCKSProxy(plain, user, context, max_connections=1, network_backend=backend)
        return httpcore.HTTPProxy(
            plain,
            user,
            ssl_context=context,
            proxy_ssl_context=context if parts.scheme == "https" else None,
            max_connections=1,
            network_backend=backend,
        )


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()
