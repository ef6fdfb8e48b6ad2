"""What a page may ask."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any, cast

from fastapi import APIRouter, Cookie, Depends, Request, Response
from pydantic import BaseModel, Field
from watertight_sse.fastapi import Gateway, Snapshot
from watertight_sse.tokens import Minter, session_pattern

from . import problems
from .accounts import COOKIE, SIGN_IN_SECONDS, Accounts, SignedIn
from .desk import Desk, TooManyRunsError
from .revocations import Revocations
from .same_origin import check_origin
from .steps import Summary
from .telling import session_of_list, session_of_run
from .tries import TooManyTriesError

router = APIRouter(prefix="/api", dependencies=[Depends(check_origin)])


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes need. The application has it as ``app.state.parts``."""

    accounts: Accounts
    desk: Desk
    gateway: Gateway
    minter: Minter
    revocations: Revocations


async def _parts(request: Request) -> Parts:
    return cast("Parts", request.app.state.parts)


SignInCookie = Annotated[str, Cookie(alias=COOKIE)]
TheParts = Annotated[Parts, Depends(_parts)]


async def _signed_in(parts: TheParts, cookie: SignInCookie = "") -> SignedIn:
    who = await parts.accounts.find(cookie)
    if who is None:
        raise problems.not_signed_in()
    return who


Who = Annotated[SignedIn, Depends(_signed_in)]


async def _user(who: Who) -> str:
    return who.user


User = Annotated[str, Depends(_user)]


class SignIn(BaseModel):
    """Who somebody says to be."""

    user: str = Field(max_length=100)
    password: str = Field(max_length=100)


class Start(BaseModel):
    """Runs that are to be started."""

    task: str = Field(min_length=1, max_length=200)
    words: int = Field(default=120, ge=16, le=2_000)
    """About how long the answer is to be."""
    count: int = Field(default=1, ge=1, le=200)


@router.post("/sign-in")
async def sign_in(who: SignIn, response: Response, parts: TheParts) -> dict[str, str]:
    """Sign somebody in."""
    try:
        cookie = await parts.accounts.sign_in(who.user, who.password)
    except TooManyTriesError as error:
        raise problems.too_many_tries(error.retry_after) from error
    if cookie is None:
        raise problems.wrong_password()
    # The oldest sign-in of many has ended by this one.
    parts.revocations.wake()
    # Strict: no other site can make a browser send it. Of other origins of this site `check_origin` keeps the rest.
    # Behind TLS add `secure=True`.
    response.set_cookie(COOKIE, cookie, max_age=SIGN_IN_SECONDS, httponly=True, samesite="strict")
    return {"user": who.user}


@router.post("/sign-out", status_code=HTTPStatus.NO_CONTENT)
async def sign_out(response: Response, parts: TheParts, cookie: SignInCookie = "") -> None:
    """Sign out: this browser alone, with all of its tabs. The hub ends what they watch."""
    await parts.accounts.sign_out(cookie)
    parts.revocations.wake()
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.get("/me")
async def me(user: User) -> dict[str, str]:
    """Say who is signed in."""
    return {"user": user}


@router.get("/runs")
async def list_runs(user: User, parts: TheParts) -> list[Summary]:
    """List the user's runs, the newest first."""
    return await parts.desk.list_of(user)


@router.post("/runs", status_code=HTTPStatus.CREATED)
async def start_runs(user: User, start: Start, parts: TheParts) -> list[Summary]:
    """Start runs."""
    try:
        return await parts.desk.start(user, start.task, start.words, start.count)
    except TooManyRunsError as error:
        raise problems.too_many_runs() from error


async def _watch(parts: Parts, session: str, who: SignedIn, snapshot: Snapshot) -> dict[str, Any]:
    """Say where a page watches, with a token of this sign-in: signing out revokes it, and it ends when that does."""
    watch = await parts.gateway.watch(session, who.user, snapshot)
    lifetime = max(1.0, min(parts.minter.lifetime, who.until - time.time()))
    issued = parts.minter.issue(sub=who.user, subscribe=[session_pattern(session)], lifetime=lifetime, jti=who.id)
    return replace(watch, token=issued.token, expires_at=issued.expires_at).json()


# A page that watches asks one of the next two: first, after a gap, and when its token is over. The answer has a
# snapshot, and a position in the stream that is not behind it.


@router.get("/runs/watch")
async def watch_list(who: Who, parts: TheParts) -> dict[str, Any]:
    """Say where the list of runs is watched, with which token, and from which event on."""
    return await _watch(parts, session_of_list(who.user), who, lambda: parts.desk.list_of(who.user))


@router.get("/runs/{run_id}/watch")
async def watch_run(run_id: str, who: Who, parts: TheParts) -> dict[str, Any]:
    """Say where a run is watched. The token that is given is for this run alone."""
    run = await parts.desk.find(run_id)
    if run is None:
        raise problems.no_such_run()
    if run.owner != who.user:
        raise problems.not_yours()
    if run.is_over:
        # There is nothing to wait for, and the hub may have forgotten the session, or be away.
        return {
            "url": None,
            "token": None,
            "expiresAt": None,
            "lastEventId": None,
            "snapshot": run.snapshot(),
        }
    return await _watch(parts, session_of_run(run_id), who, lambda: parts.desk.snapshot(run_id))
