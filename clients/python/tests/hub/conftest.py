"""What tests of the hub in the process share: a broadcaster whose ledger has to be balanced at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from watertight_sse.hub import Broadcaster

from .ledger import assert_balanced


@pytest.fixture
async def broadcaster() -> AsyncIterator[Broadcaster]:
    """One that runs. Whatever a test did, all was given back when it ends."""
    async with Broadcaster() as broadcaster:
        yield broadcaster
        assert_balanced(broadcaster)
