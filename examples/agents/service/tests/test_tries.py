"""How often somebody may try to sign in."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path

import pytest

from agents_service import accounts as all_accounts
from agents_service import tries as all_tries
from agents_service.accounts import Accounts
from agents_service.tries import TooManyTriesError, Tries
from tests.kit import open_store

USERS = {"ada": "one", "grace": "two"}


@pytest.mark.parametrize("user", ["ada", "nobody"])
def test_who_guesses_too_often_is_refused_for_a_minute_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    now = 0.0
    monkeypatch.setattr(all_accounts, "Tries", lambda: Tries(lambda: now))

    async def work() -> None:
        nonlocal now
        async with open_store(tmp_path) as store:
            accounts = Accounts(store, USERS)
            for _ in range(all_tries.TRIES_MAX):
                assert await accounts.sign_in(user, "guess") is None
            now = 59.0
            with pytest.raises(TooManyTriesError) as refused:
                await accounts.sign_in(user, "one")
            assert refused.value.retry_after == 1.0
            assert await accounts.sign_in("grace", "two") is not None
            now = 60.0
            assert (await accounts.sign_in(user, "one") is not None) == (user == "ada")

    asyncio.run(work())


def test_many_tries_at_once_make_one_hash_at_a_time_and_a_line_that_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = threading.Lock()

    usual = hashlib.scrypt

    def scrypt_alone(password: bytes, *, salt: bytes, n: int, r: int, p: int) -> bytes:
        assert alone.acquire(blocking=False), "two hashes at once"
        try:
            return usual(password, salt=salt, n=n, r=r, p=p)
        finally:
            alone.release()

    monkeypatch.setattr(hashlib, "scrypt", scrypt_alone)

    async def work() -> None:
        async with open_store(tmp_path) as store:
            accounts = Accounts(store, USERS)
            tries = (accounts.sign_in(f"user {n}", "guess") for n in range(100))
            outcomes = await asyncio.gather(*tries, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [
                *[type(None)] * all_tries.LINE_MAX,
                *[TooManyTriesError] * (100 - all_tries.LINE_MAX),
            ]
            assert await accounts.sign_in("ada", "one") is not None

    asyncio.run(work())
