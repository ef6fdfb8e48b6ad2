"""Who is signed in, and what the hub is told of who is no longer."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import httpx
import pytest

from agents_service import accounts as all_accounts
from agents_service import revocations as all_revocations
from agents_service.accounts import Accounts
from agents_service.revocations import Revocations
from agents_service.store import Store
from tests.kit import open_store, until

USERS = {"ada": "one", "grace": "two"}


class Operator:
    """The call of a hub that revokes tokens."""

    def __init__(self) -> None:
        self.is_there = True
        self.asked = 0
        self.revoked: list[str] = []

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url="http://hub", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if not self.is_there:
            raise httpx.ConnectError("refused")
        assert (request.method, request.url.path) == ("POST", "/tokens/revoke")
        assert request.headers["authorization"] == "Bearer operator"
        said = json.loads(request.content)
        assert time.time() < said["exp"] < time.time() + all_accounts.SIGN_IN_SECONDS + 2
        self.revoked.append(said["jti"])
        return httpx.Response(200, json={"closed": 1})


async def signed_in(accounts: Accounts, user: str) -> tuple[str, str]:
    """Sign somebody in, and return the cookie and the id of the sign-in."""
    cookie = await accounts.sign_in(user, USERS[user])
    assert cookie is not None
    who = await accounts.find(cookie)
    assert who is not None
    return cookie, who.id


async def until_all_are_told(store: Store) -> None:
    async def is_told() -> bool:
        return not await store.call(lambda db: db.execute("SELECT * FROM revocations").fetchall())

    await until(is_told)


def test_the_tokens_of_who_signs_out_are_revoked_and_those_of_no_other_sign_in(tmp_path: Path) -> None:
    async def work() -> None:
        operator = Operator()
        async with open_store(tmp_path) as store, operator.client() as client:
            accounts = Accounts(store, USERS)
            revocations = Revocations(store, client, lambda: "operator")
            await revocations.open()
            first, first_id = await signed_in(accounts, "ada")
            second, second_id = await signed_in(accounts, "ada")
            await accounts.sign_out(first)
            revocations.wake()
            await until_all_are_told(store)
            assert operator.revoked == [first_id]
            assert first_id != second_id
            assert await accounts.find(second) is not None
            await accounts.sign_out("nobody's")
            await accounts.sign_out(first)
            revocations.wake()
            await revocations.close()
            assert operator.revoked == [first_id]

    asyncio.run(work())


def test_a_hub_that_is_away_is_told_when_it_is_back_also_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_revocations, "PAUSE_SECONDS", 0.01)

    async def work() -> None:
        operator = Operator()
        operator.is_there = False

        async def is_asked_again() -> bool:
            return operator.asked >= 2

        async with open_store(tmp_path) as store, operator.client() as client:
            revocations = Revocations(store, client, lambda: "operator")
            await revocations.open()
            accounts = Accounts(store, USERS)
            cookie, token_id = await signed_in(accounts, "ada")
            await accounts.sign_out(cookie)
            revocations.wake()
            await until(is_asked_again)
            await revocations.close()
        operator.is_there = True
        async with open_store(tmp_path) as store, operator.client() as client:
            revocations = Revocations(store, client, lambda: "operator")
            await revocations.open()
            await until_all_are_told(store)
            await revocations.close()
        assert operator.revoked == [token_id]

    asyncio.run(work())


def test_a_sign_in_that_newer_ones_displace_ends_as_if_it_had_signed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_accounts, "SIGN_INS_KEPT", 1)

    async def work() -> None:
        async with open_store(tmp_path) as store:
            accounts = Accounts(store, USERS)
            first, first_id = await signed_in(accounts, "ada")
            await signed_in(accounts, "grace")
            await signed_in(accounts, "ada")
            assert await accounts.find(first) is None
            kept = await store.call(lambda db: db.execute("SELECT id FROM revocations").fetchall())
            assert kept == [(first_id,)]

    asyncio.run(work())


def test_who_is_signed_in_is_known_after_a_restart_and_nobody_after_signing_out(tmp_path: Path) -> None:
    async def before() -> str:
        async with open_store(tmp_path) as store:
            accounts = Accounts(store, USERS)
            assert await accounts.sign_in("ada", "two") is None
            assert await accounts.sign_in("nobody", "one") is None
            cookie = await accounts.sign_in("ada", "one")
            assert cookie is not None
            kept = await store.call(lambda db: db.execute("SELECT * FROM sign_ins").fetchall())
            assert cookie not in str(kept)
            return cookie

    async def after(cookie: str) -> None:
        async with open_store(tmp_path) as store:
            accounts = Accounts(store, USERS)
            who = await accounts.find(cookie)
            assert who is not None
            assert (who.user, cookie in who.id) == ("ada", False)
            assert await accounts.find("") is None
            for _ in range(30):
                await accounts.sign_in("ada", "one")
            kept = await store.call(lambda db: db.execute("SELECT count(*) FROM sign_ins").fetchone())
            assert kept == (20,)
            again = await accounts.sign_in("grace", "two")
            assert again is not None
            await accounts.sign_out(again)
            assert await accounts.find(again) is None

    asyncio.run(after(asyncio.run(before())))
