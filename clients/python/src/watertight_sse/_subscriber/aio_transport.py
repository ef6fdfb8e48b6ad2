"""How a subscription with asyncio sends requests: httpx's transports, one connection at a time."""

from __future__ import annotations

import ssl

import httpx

from watertight_sse._subscriber.network import certificates_for, proxy_for


class AsyncTransport(httpx.AsyncBaseTransport):
    """For one subscription: through the proxy that the environment names, if it names one."""

    def __init__(self, verify: ssl.SSLContext | None, socket: str | None, proxy: str | None) -> None:
        """``socket``: the path of a Unix socket. ``proxy``: whatever the environment says, this one."""
        self._verify = verify
        self._socket = socket
        self._proxy = proxy
        # For the way that the last request went.
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._way: tuple[str | None, ssl.SSLContext] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends it. Its answer's connection is given back when the answer is closed."""
        own = self._proxy is not None or self._socket is not None
        proxy = self._proxy if own else proxy_for(request.url)
        context = self._verify or certificates_for(request.url, proxy)
        if self._transport is None or self._way != (proxy, context):
            await self.aclose()
            # One socket at most, whatever it is doing.
            limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
            self._transport = httpx.AsyncHTTPTransport(
                verify=context, uds=self._socket, proxy=proxy, limits=limits, trust_env=False
            )
            self._way = (proxy, context)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Closes the connection that is kept, if there is one."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()
