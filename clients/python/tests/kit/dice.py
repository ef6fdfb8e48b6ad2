"""Chance that can be repeated."""

from __future__ import annotations

import random


def dice(seed: int) -> random.Random:
    """The same numbers for the same seed."""
    return random.Random(seed)  # noqa: S311 - nothing here is secret
