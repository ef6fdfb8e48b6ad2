"""The seed's "Backend SSE Stream Implementation" as an application, with the import changed, and one word.

As the document has it, its ``break`` stands outside of its loop, which Python does not compile: here it is ``raise``, which is
what has to become of a cancellation anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from watertight_sse.hub import get_sse_broadcaster

logger = logging.getLogger(__name__)


# ✅ CORRECT: Using context manager for proper resource cleanup
async def agent_network_sse_endpoint(session_id: str) -> StreamingResponse:
    """SSE endpoint with automatic resource cleanup."""
    broadcaster = get_sse_broadcaster()

    async def event_generator() -> AsyncIterator[str]:
        async with broadcaster.subscribe(session_id) as queue:
            try:
                while True:
                    event = await queue.get(timeout=30.0)
                    yield event
            except asyncio.CancelledError:
                logger.info(f"SSE stream cancelled for session {session_id}")
                raise
            finally:
                # Cleanup is automatic via context manager
                pass

    return StreamingResponse(
        event_generator(),
        media_type="text/event-stream",
        headers={
            "Cache-Control": "no-cache",
            "Connection": "keep-alive",
        },
    )


async def endpoint(request: Request) -> StreamingResponse:
    """The route."""
    return await agent_network_sse_endpoint(request.path_params["session_id"])


async def stream(request: Request) -> StreamingResponse:
    """The same with an opening and heartbeats, and resuming: what is recommended."""
    broadcaster = get_sse_broadcaster()

    async def event_generator() -> AsyncIterator[str]:
        last = request.headers.get("last-event-id")
        async with broadcaster.subscribe(request.path_params["session_id"], last_event_id=last) as queue:
            async for block in queue.stream(heartbeat=0.05):
                yield block

    return StreamingResponse(event_generator(), media_type="text/event-stream")


app = Starlette(routes=[Route("/sse/{session_id}", endpoint), Route("/stream/{session_id}", stream)])
