"""Fixtures of the publisher's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.publisher.variants import AnyPublisher


@pytest.fixture(params=["asyncio", "plain"])
def publisher(request: pytest.FixtureRequest) -> Callable[..., AnyPublisher]:
    """Makes a publisher of one variant, with the arguments of ``Publisher``."""

    def make(url: str, **options: object) -> AnyPublisher:
        return AnyPublisher(request.param, url, **options)

    return make
