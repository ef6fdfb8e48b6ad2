"""Which names get into a token: a user's and sessions', and nothing that only looks like one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
from fastapi import Depends, FastAPI

from tests.web.kit import SECRET
from watertight_sse._web._position import Position
from watertight_sse._web._route import watch_as
from watertight_sse.fastapi import Gateway, IssuedToken, token_dependency, watch_router
from watertight_sse.starlette import GatewayError
from watertight_sse.tokens import Minter


def username(user: User) -> str:
    """The one part that is the hub's business."""
    return user.username


@dataclass
class User:
    """As an application has it: only a part of it is anybody's business."""

    username: str = "ada"
    password_hash: str = "$2b$12$abc"


def app_for(user: object, **options: Any) -> FastAPI:
    """With a dependency and a route for whoever this is."""
    gateway = Gateway("http://127.0.0.1:1", Minter(secret=SECRET))
    app = FastAPI()
    mine = token_dependency(gateway, user=lambda: user, sessions=lambda user: ["s"], **options)

    @app.get("/token")
    async def token(minted: IssuedToken = Depends(mine)) -> str:  # noqa: B008 - as FastAPI has it
        return minted.token

    app.include_router(
        watch_router(gateway, user=lambda: user, may_watch=lambda user, session: False, **options)
    )
    assert token is not None
    return app


def page_of(app: FastAPI) -> httpx.AsyncClient:
    """What raises in a route raises here."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")


async def test_a_user_that_is_no_name_gets_no_token_until_it_is_said_what_the_name_is() -> None:
    async with page_of(app_for(User())) as page:
        for path in ("/token", "/watch/s"):
            with pytest.raises(TypeError, match="the user is a User, not a name"):
                await page.get(path)
    async with page_of(app_for(User(), name=username)) as page:
        claims = jwt.decode((await page.get("/token")).json(), SECRET, ["HS256"])
        assert claims["sub"] == "ada"
        assert (await page.get("/watch/s")).status_code == 403


async def test_nobody_is_nobody_and_not_a_user_of_that_name() -> None:
    async with page_of(app_for(None)) as page:
        assert (await page.get("/token")).status_code == 401
        answer = await page.get("/watch/s")
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


def test_one_name_is_no_list_of_sessions() -> None:
    for minter in (Minter(secret=SECRET), None):
        with pytest.raises(TypeError, match=r"\['orders'\] would do"):
            Gateway("http://127.0.0.1:1", minter).token("ada", "orders")


@pytest.mark.parametrize("options", [{"lifetime": 0}, {"lifetime": 1e12}, {"relay_lifetime": 1e12}])
def test_a_time_that_no_token_can_have_is_refused_when_the_gateway_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="lifetime"):
        Gateway("http://127.0.0.1:1", Minter(secret=SECRET), **options)


@pytest.mark.parametrize(
    ("user", "session", "raised", "match"),
    [
        ("x" * 300, "s", ValueError, "sub has 1 to 256 bytes"),
        ("ada", "a*", GatewayError, "INVALID_SESSION_NAME"),
    ],
)
async def test_only_a_sessions_name_is_the_pages_fault(
    user: str, session: str, raised: type[Exception], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def position(gateway: Gateway, session: str) -> Position:
        return Position("1-1", False)

    monkeypatch.setattr(Gateway, "position", position)
    gateway = Gateway("http://127.0.0.1:1", Minter(secret=SECRET))
    with pytest.raises(raised, match=match):
        await watch_as(gateway, session, user, lambda user, session: True, None)
