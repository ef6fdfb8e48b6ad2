"""The answer to a page's question: where do I watch, with which token, from which id, and what was the state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.applications import Starlette

from tests.kit.hub import HubProcess
from tests.kit.server import Server
from tests.kit.wait import eventually, soon
from tests.web.kit import SECRET, protected_hub
from watertight_sse import Event, subscribe
from watertight_sse.fastapi import (
    Gateway,
    GatewayError,
    IssuedToken,
    add_problem_handler,
    token_dependency,
    watch_router,
)
from watertight_sse.starlette import watch_route
from watertight_sse.tokens import Minter


@pytest.fixture
async def protected(tmp_path: Path) -> AsyncIterator[tuple[HubProcess, Minter]]:
    """A hub that needs tokens."""
    hub, minter = protected_hub(tmp_path)
    with hub:
        yield hub, minter


async def events_after(
    url: str, session: str, token: str | None, last_event_id: str, count: int
) -> list[str]:
    """The data of the next events behind a position."""
    got: list[str] = []
    async with subscribe(url, session, token=token, last_event_id=last_event_id) as events:
        async for event in events:
            assert isinstance(event, Event), event
            got.append(event.data)
            if len(got) == count:
                break
    return got


async def test_nothing_falls_between_the_snapshot_and_the_stream(
    protected: tuple[HubProcess, Minter],
) -> None:
    hub, minter = protected
    state: list[str] = []

    def change(text: str) -> None:
        state.append(text)
        hub.publish("runs/7", [text])

    change("before")
    async with Gateway(hub.url, minter) as gateway:
        for is_async in (False, True):

            def snapshot() -> list[str]:
                change("while it is taken")
                taken = list(state)
                change("just after")
                return taken

            async def later() -> list[str]:
                await asyncio.sleep(0)
                return snapshot()

            watch = await gateway.watch("runs/7", "ada", later if is_async else snapshot)
            change("later")
            got = await soon(
                events_after(hub.url, "runs/7", watch.token, watch.last_event_id, 3), "three events come"
            )
            assert [json.loads(text) for text in got] == ["while it is taken", "just after", "later"]
            assert watch.snapshot[-1] == "while it is taken"
            assert watch.snapshot + state[-2:] == state


async def test_the_token_is_short_is_the_users_and_is_for_this_session_alone(
    protected: tuple[HubProcess, Minter],
) -> None:
    hub, minter = protected
    async with Gateway(hub.url, minter, public="https://events.example.com/hub/", lifetime=30) as gateway:
        watch = await gateway.watch("runs/7 ü", "ada")
    assert watch.url == "https://events.example.com/hub/sessions/runs%2F7%20%C3%BC/events"
    claims = jwt.decode(watch.token or "", SECRET, ["HS256"])
    assert (claims["sub"], claims["watertight"]) == ("ada", {"subscribe": ["sessions/runs/7 ü"]})
    assert claims["exp"] - claims["iat"] == 30
    assert watch.expires_at == claims["exp"]
    assert (watch.snapshot, watch.is_ended) == (None, False)
    assert str(watch.token) not in repr(watch)


async def test_pages_may_reach_the_hub_below_a_path_of_their_own_origin() -> None:
    assert Gateway("unix:/run/hub.sock", None, public="/hub/")._public == "/hub"  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(ValueError, match="public"):
        await Gateway("unix:/run/hub.sock", None).watch("s", None)
    for public in ("//elsewhere", "ftp://x", "https://u:p@h"):
        with pytest.raises(ValueError, match="URL"):
            Gateway("http://127.0.0.1:1", None, public=public)
    for options in ({"timeout": 0}, {"relay_lifetime": 0}, {"max_relays": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            Gateway("http://127.0.0.1:1", None, **options)  # type: ignore[arg-type]


async def test_an_ended_session_says_so(protected: tuple[HubProcess, Minter]) -> None:
    hub, minter = protected
    hub.publish("runs/7", ["x"])
    hub.end("runs/7")
    async with Gateway(hub.url, minter) as gateway:
        watch = await gateway.watch("runs/7", "ada")
    assert watch.is_ended
    assert watch.json()["ended"] is True
    async with subscribe(hub.url, "runs/7", token=watch.token, last_event_id=watch.last_event_id) as events:
        assert [event async for event in events] == [], "and its stream ends at once"


async def test_an_open_hub_needs_no_token() -> None:
    with HubProcess() as hub:
        async with Gateway(hub.url, None) as gateway:
            watch = await gateway.watch("s", None, lambda: {"n": 1})
            hub.publish("s", ["x"])
            assert await events_after(hub.url, "s", None, watch.last_event_id, 1) == ['"x"']
    assert watch.json() == {
        "url": f"{hub.url}/sessions/s/events",
        "token": None,
        "expiresAt": None,
        "lastEventId": watch.last_event_id,
        "snapshot": {"n": 1},
        "ended": False,
    }


async def test_a_question_that_is_cancelled_at_any_await_leaves_nothing_behind() -> None:
    with HubProcess() as hub:
        async with Gateway(hub.url, None) as gateway:
            await gateway.watch("s", None)
            tasks, turns, is_done = len(asyncio.all_tasks()), 0, False
            while not is_done:
                task = asyncio.create_task(gateway.watch("s", None))
                for _ in range(turns):
                    await asyncio.sleep(0)
                is_done = task.done()
                task.cancel()
                await asyncio.wait((task,))
                await eventually(lambda: len(asyncio.all_tasks()) == tasks, "no task is left")
                turns += 1
                # Turns of a loop that waits for a hub, which may have much else to do.
                assert turns < 4_000
            assert turns > 3
        await eventually(lambda: hub.stats()["ledger"]["connection"]["live"] <= 1, "no connection is left")


async def test_a_kept_connection_that_the_hub_has_closed_is_replaced() -> None:
    with HubProcess() as hub:
        async with Gateway(hub.url, None) as gateway:
            first = await gateway.watch("s", None)
            hub.restart()
            assert (await gateway.watch("s", None)).last_event_id != first.last_event_id


Answer = Callable[[Any], Awaitable[Any]]


@pytest.mark.parametrize(
    ("status", "code", "told", "retry_after"),
    [
        (503, "OVERLOADED", (503, "OVERLOADED"), "7"),
        (429, "RATE_LIMITED", (503, "RATE_LIMITED"), "7"),
        (500, "INTERNAL", (503, "INTERNAL"), "7"),
        (401, "INVALID_TOKEN", (502, "HUB_REFUSED"), None),
        (403, "FORBIDDEN", (502, "HUB_REFUSED"), None),
        (400, "INVALID_SESSION_NAME", (400, "INVALID_SESSION_NAME"), None),
        (307, "", (502, "HUB_REFUSED"), None),
    ],
)
async def test_what_the_hub_refuses_is_told_as_what_it_is_for_the_page(
    status: int, code: str, told: tuple[int, str], retry_after: str | None
) -> None:
    async with Server() as server, Gateway(server.url, None) as gateway:
        task = asyncio.create_task(gateway.watch("s", "ada"))
        peer = await server.accept()
        headers = {"retry-after": "6.5"} if retry_after is None else {"retry-after": "7"}
        await peer.answer(status, headers, json.dumps({"code": code, "detail": "inner"}))
        with pytest.raises(GatewayError) as caught:
            await soon(task, "it fails")
    assert (caught.value.status_code, caught.value.code) == told
    answer = caught.value.response()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers.get("retry-after") == retry_after
    assert json.loads(bytes(answer.body))["code"] == told[1]


@pytest.mark.parametrize("how", ["silent", "nonsense", "reset"])
async def test_a_hub_that_does_not_answer_is_503_with_a_time_to_come_back(how: str) -> None:
    # What answers at once is to have its two tries, however slow the machine.
    timeout = 0.3 if how == "silent" else 15
    async with Server() as server, Gateway(server.url, None, timeout=timeout) as gateway:
        task = asyncio.create_task(gateway.watch("s", "ada"))
        while (peer := await server.accept_unless(task)) is not None:
            if how == "nonsense":
                await peer.say("SSH-2.0-nothing\r\n\r\n")
            if how == "reset":
                peer.reset()
        with pytest.raises(GatewayError, match="503 HUB_UNAVAILABLE") as caught:
            await soon(task, "it fails")
        assert how == "silent" or len(server.peers) == 2
        assert 1 <= (caught.value.retry_after or 0) <= 5
        await eventually(lambda: server.open() == 0, "no connection is left")


async def test_an_answer_that_is_none_of_a_hubs_is_502() -> None:
    async with Server() as server, Gateway(server.url, None) as gateway:
        for body in ("[]", "{}", '{"next":7}', "x" * 3_000_000):
            task = asyncio.create_task(gateway.watch("s", "ada"))
            await (await server.accept()).answer(200, body=body)
            with pytest.raises(GatewayError, match="502 HUB_REFUSED"):
                await soon(task, "it fails")


def starlette_app(gateway: Gateway) -> Starlette:
    """With a route that asks plain functions."""
    return Starlette(
        routes=[
            watch_route(
                "/watch/{session:path}",
                gateway,
                user=lambda request: request.cookies.get("user"),
                may_watch=lambda user, session: session.startswith(f"{user}/"),
                snapshot=lambda user, session: {"of": user, "session": session},
            )
        ]
    )


def fastapi_app(gateway: Gateway) -> FastAPI:
    """With a router that asks a dependency and ``async`` functions."""
    app = FastAPI()

    def signed_in(request: Request) -> str:
        user = request.cookies.get("user")
        if user is None:
            raise HTTPException(401, "nobody has signed in")
        return user

    async def may_watch(user: str, session: str) -> bool:
        await asyncio.sleep(0)
        return session.startswith(f"{user}/")

    async def snapshot(user: str, session: str) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"of": user, "session": session}

    app.include_router(watch_router(gateway, user=signed_in, may_watch=may_watch, snapshot=snapshot))
    mine = token_dependency(gateway, user=signed_in, sessions=lambda user: [f"{user}/a", f"{user}/b"])

    @app.get("/token")
    async def token(minted: IssuedToken = Depends(mine)) -> dict[str, Any]:  # noqa: B008 - as FastAPI has it
        return {"token": minted.token, "expiresAt": minted.expires_at}

    @app.get("/raises")
    async def raises() -> None:
        raise GatewayError(503, "HUB_UNAVAILABLE", "away", retry_after=1.2)

    add_problem_handler(app)
    assert token is not None
    assert raises is not None
    return app


@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
async def test_the_route_answers_who_may_and_refuses_who_may_not(
    protected: tuple[HubProcess, Minter], make: Callable[[Gateway], Any]
) -> None:
    hub, minter = protected
    async with Gateway(hub.url, minter) as gateway:
        transport = httpx.ASGITransport(make(gateway))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://app", cookies={"user": "ada"}
        ) as page:
            answer = await page.get("/watch/ada/7")
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            watch = answer.json()
            assert watch["snapshot"] == {"of": "ada", "session": "ada/7"}
            assert set(watch) == {"url", "token", "expiresAt", "lastEventId", "snapshot", "ended"}
            hub.publish("ada/7", ["x"])
            got = await soon(
                events_after(hub.url, "ada/7", watch["token"], watch["lastEventId"], 1), "it comes"
            )
            assert got == ['"x"']
            answer = await page.get("/watch/bob/7")
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
            assert answer.headers["content-type"] == "application/problem+json"
            answer = await page.get("/watch/ada/*")
            assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_SESSION_NAME")
            hub.kill()
            answer = await page.get("/watch/ada/7")
            assert (answer.status_code, answer.json()["code"]) == (503, "HUB_UNAVAILABLE")
            assert 1 <= int(answer.headers["retry-after"]) <= 5
            page.cookies.clear()
            assert (await page.get("/watch/ada/7")).status_code == 401


async def test_a_dependency_mints_for_who_has_signed_in() -> None:
    app = fastapi_app(Gateway("http://127.0.0.1:1", Minter(secret=SECRET)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as page:
        assert (await page.get("/token")).status_code == 401
        minted = (await page.get("/token", headers={"cookie": "user=ada"})).json()
        claims = jwt.decode(minted["token"], SECRET, ["HS256"])
        assert (claims["sub"], claims["exp"]) == ("ada", minted["expiresAt"])
        assert claims["watertight"] == {"subscribe": ["sessions/ada/a", "sessions/ada/b"]}
        answer = await page.get("/raises")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["code"] == "HUB_UNAVAILABLE"
