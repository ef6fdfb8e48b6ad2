"""Fixtures for all tests of the package."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kit.readers import VARIANTS, Reader, Variant


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Variant:
    """With asyncio, and without."""
    return request.param  # type: ignore[no-any-return]  # pytest does not know its type


@pytest.fixture
def read(variant: Variant) -> Callable[..., Reader]:
    """Makes a reader of one variant, with the arguments of ``subscribe``."""

    def make(*args: object, **options: object) -> Reader:
        return Reader(variant, *args, **options)

    return make
