"""Users, their passwords, and the cookies of those who are signed in."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import sqlite3
import time
from dataclasses import dataclass

from .revocations import revoke
from .store import Store
from .tries import Tries

COOKIE = "agents_sign_in"
SIGN_IN_SECONDS = 12 * 3600
SIGN_INS_KEPT = 20
"""How often a user may be signed in at once; the oldest are forgotten."""

DEMO_USERS = {"ada": "analytical engine", "grace": "flow-matic"}
"""Two users, so that it can be seen that neither sees the other's runs. Yours are in a database."""


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def _digest(cookie: str) -> bytes:
    """What is kept of a cookie: who reads the database cannot sign in with it."""
    return hashlib.sha256(cookie.encode()).digest()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody who is signed in."""

    user: str
    id: str
    """The ``jti`` of all tokens of this sign-in: signing out revokes them by it. No cookie can be made of it."""
    until: float
    """Seconds since 1970."""


class Accounts:
    """Who there is, and who is signed in."""

    def __init__(self, store: Store, users: dict[str, str]) -> None:
        """Take users with their passwords; of the passwords, hashes are kept."""
        self._store = store
        self._tries = Tries()
        self._salt = secrets.token_bytes(16)
        self._hashes = {user: _hash(password, self._salt) for user, password in users.items()}

    async def sign_in(self, user: str, password: str) -> str | None:
        """Check a password, and return the cookie of a new sign-in; ``None`` if it is not that user's.

        It takes the same time for users that there are not.

        :raises TooManyTriesError: if it was tried too often.
        """
        async with self._tries.take(user):
            given = await asyncio.to_thread(_hash, password, self._salt)
        if not hmac.compare_digest(self._hashes.get(user, bytes(len(given))), given):
            return None
        self._tries.forget(user)
        cookie = secrets.token_urlsafe(32)
        now = time.time()

        def keep(database: sqlite3.Connection) -> None:
            database.execute("DELETE FROM sign_ins WHERE until <= ?", (now,))
            database.execute(
                "INSERT INTO sign_ins (digest, user, until) VALUES (?, ?, ?)",
                (_digest(cookie), user, now + SIGN_IN_SECONDS),
            )
            oldest = database.execute(
                "SELECT digest FROM sign_ins WHERE user = ? ORDER BY until DESC LIMIT -1 OFFSET ?",
                (user, SIGN_INS_KEPT),
            )
            revoke(database, [digest for (digest,) in oldest])

        await self._store.call(keep)
        return cookie

    async def sign_out(self, cookie: str) -> None:
        """Forget a sign-in, and keep that the hub is to be told of it."""
        await self._store.call(lambda database: revoke(database, [_digest(cookie)]))

    async def find(self, cookie: str) -> SignedIn | None:
        """Return who is signed in with this cookie; ``None`` if nobody is, or no longer."""
        digest = _digest(cookie)
        row = await self._store.call(
            lambda database: database.execute(
                "SELECT user, until FROM sign_ins WHERE digest = ? AND until > ?", (digest, time.time())
            ).fetchone()
        )
        return None if row is None else SignedIn(row[0], digest.hex(), row[1])
