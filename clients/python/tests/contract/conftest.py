"""The service, started once for each variant."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.harness import Harness


@pytest_asyncio.fixture(params=["asyncio", "plain"], scope="module", loop_scope="module")
async def service(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    """Its process; ends with exit code 0."""
    harness = Harness()
    await harness.start(*([] if request.param == "asyncio" else ["--plain"]))
    yield harness
    assert await harness.stop() == 0


@pytest_asyncio.fixture(loop_scope="module")
async def harness(service: Harness) -> AsyncIterator[Harness]:
    """The service, for one test: its subscriptions are ended, and their connections closed, at the end."""
    yield service
    await service.end_clients()
