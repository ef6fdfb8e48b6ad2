"""Publish to and subscribe from a Watertight hub.

================================  =====================================================================
``watertight_sse``                asyncio: ``subscribe``, ``Publisher``, events, gaps, errors
``watertight_sse.sync``           the same without asyncio
``watertight_sse.tokens``         mints the tokens with which pages and programs watch and publish
``watertight_sse.starlette``      where a page watches, with which token, from which id; ``relay``
``watertight_sse.fastapi``        the same as FastAPI dependencies and routes
``watertight_sse.hub``            the hub in this process
================================  =====================================================================
"""
