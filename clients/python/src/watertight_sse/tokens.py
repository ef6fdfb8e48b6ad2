"""Mints tokens with which pages and programs watch and publish: JWTs with the claim ``watertight`` that a hub verifies.

Needs PyJWT: ``pip install watertight-sse[tokens]``.

    minter = Minter(secret_file="secret")
    token = minter.mint(sub="ada", subscribe=["sessions/runs/*"])
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt

from watertight_sse._grants import (
    AUDIENCES_MAX,
    ISSUER_BYTES_MAX,
    check_name,
    check_patterns,
    session_pattern,
)
from watertight_sse._keys import (
    FileKey,
    FixedKey,
    KeySource,
    SigningKey,
    from_private_key,
    from_secret,
    without_line_break,
)

__all__ = ["IssuedToken", "Minter", "session_pattern"]

TOKEN_BYTES_MAX = 8 * 1024
"""Longest token that a hub takes, bytes."""
LIFETIME_DEFAULT = 300.0
"""How long a token is valid, seconds: long enough for a page to begin, short enough that few have to be revoked."""
_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, and until when a hub takes it."""

    token: str = field(repr=False)
    """The token itself; not shown where this is printed."""
    expires_at: int
    """Seconds since 1970."""


class Minter:
    """Signs tokens with one key. May be shared by threads and event loops; minting does no IO, but that a key file is looked at
    once a second.
    """

    def __init__(  # noqa: PLR0913 - by name, and each with a default
        self,
        *,
        secret: str | bytes | None = None,
        secret_file: str | os.PathLike[str] | None = None,
        private_key: str | bytes | os.PathLike[str] | None = None,
        algorithm: str | None = None,
        kid: str | None = None,
        lifetime: float = LIFETIME_DEFAULT,
        issuer: str | None = None,
        audience: str | Iterable[str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Takes one key: ``secret`` or ``secret_file`` in the form of the hub's ``token_secret`` (HS256, HS384, HS512), or
        ``private_key`` in PEM, as a text or as a ``Path`` to its file (EdDSA, ES256, ES384, RS256 and further ones). A key
        in a file is read again when the file changes.

        Args:
            secret: the text itself, or ``base64:`` and its bytes in base64.
            secret_file: the file that holds it, with or without a line break at its end.
            private_key: the PEM, or a ``Path``; the hub has the public half.
            algorithm: for keys that are for several; default: the first that fits.
            kid: the key's name in a key set.
            lifetime: seconds for which a token is valid where ``mint`` says nothing else; at least 1.
            issuer: ``iss``; what the hub's ``token_issuer`` says.
            audience: ``aud``; one of the hub's ``token_audience``.
            clock: seconds since 1970, instead of the machine's.

        Raises:
            ValueError: no key or two, a key that would not do, or a name or a time that a hub would refuse.
            OSError: the file cannot be read.
        """
        self._keys = _source(secret, secret_file, private_key, algorithm)
        self._headers = None if kid is None else {"kid": check_name("kid", kid)}
        self._lifetime = checked_lifetime(lifetime)
        self._clock = clock
        self._fixed: dict[str, Any] = {}
        if issuer is not None:
            self._fixed["iss"] = check_name("issuer", issuer, ISSUER_BYTES_MAX)
        if audience is not None:
            self._fixed["aud"] = _audience(audience)

    @property
    def lifetime(self) -> float:
        """Seconds for which a token is valid where ``mint`` says nothing else."""
        return self._lifetime

    def mint(  # noqa: PLR0913 - by name, and each with a default
        self,
        *,
        sub: str | None = None,
        subscribe: Iterable[str] = (),
        publish: Iterable[str] = (),
        admin: bool = False,
        lifetime: float | None = None,
        jti: str | None = None,
    ) -> str:
        """A token for ``sub`` (the user; none for a program of one's own) that grants reading the paths that the patterns
        ``subscribe`` are about, and writing those of ``publish``: ``sessions/NAME``, with ``*`` for any part of a segment
        and ``**`` for any number of segments. ``admin`` grants the operator's calls. ``jti`` is its id, by which it can be
        revoked; a random one if none is given.

        Raises:
            ValueError: a hub would refuse the token. The text names what is wrong.
        """
        return self.issue(
            sub=sub, subscribe=subscribe, publish=publish, admin=admin, lifetime=lifetime, jti=jti
        ).token

    def issue(  # noqa: PLR0913 - by name, and each with a default
        self,
        *,
        sub: str | None = None,
        subscribe: Iterable[str] = (),
        publish: Iterable[str] = (),
        admin: bool = False,
        lifetime: float | None = None,
        jti: str | None = None,
    ) -> IssuedToken:
        """As ``mint``, and says when the token expires."""
        now = int(self._clock())
        expires_at = now + int(self._lifetime if lifetime is None else checked_lifetime(lifetime))
        claims = dict(self._fixed)
        if sub is not None:
            claims["sub"] = check_name("sub", sub)
        claims["jti"] = secrets.token_urlsafe(_ID_BYTES) if jti is None else check_name("jti", jti)
        claims["iat"] = now
        claims["exp"] = expires_at
        claims["watertight"] = _grants(subscribe, publish, admin)
        key = self._keys.key()
        token = jwt.encode(claims, key.material, algorithm=key.algorithm, headers=self._headers)
        if len(token) > TOKEN_BYTES_MAX:
            raise ValueError(
                f"the token would have {len(token)} bytes, and a hub takes {TOKEN_BYTES_MAX}: "
                "fewer or shorter patterns would do"
            )
        return IssuedToken(token, expires_at)

    def __repr__(self) -> str:
        """Shows nothing of the key."""
        return f"Minter({self._keys.key().algorithm})"


def _grants(subscribe: Iterable[str], publish: Iterable[str], admin: bool) -> dict[str, object]:
    grants: dict[str, object] = {}
    for name, patterns in (("subscribe", subscribe), ("publish", publish)):
        checked = check_patterns(name, patterns)
        if checked:
            grants[name] = checked
    if admin:
        grants["admin"] = True
    return grants


def _source(
    secret: str | bytes | None,
    secret_file: str | os.PathLike[str] | None,
    private_key: str | bytes | os.PathLike[str] | None,
    algorithm: str | None,
) -> KeySource:
    if sum(given is not None for given in (secret, secret_file, private_key)) != 1:
        raise ValueError("one key is needed: secret, secret_file or private_key")

    def read_secret(text: bytes) -> SigningKey:
        return from_secret(without_line_break(text), algorithm)

    def read_private_key(text: bytes) -> SigningKey:
        return from_private_key(text, algorithm)

    if secret is not None:
        return FixedKey(from_secret(_bytes(secret), algorithm))
    if secret_file is not None:
        return FileKey(secret_file, read_secret)
    if isinstance(private_key, (str, bytes)):
        return FixedKey(read_private_key(_bytes(private_key)))
    # One of the three is given, and it is neither of the others.
    return FileKey(Path(private_key or ""), read_private_key)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _audience(audience: str | Iterable[str]) -> str | list[str]:
    if isinstance(audience, str):
        return check_name("audience", audience, ISSUER_BYTES_MAX)
    members = [check_name("audience", member, ISSUER_BYTES_MAX) for member in audience]
    if not 1 <= len(members) <= AUDIENCES_MAX:
        raise ValueError(f"audience has {len(members)} members: 1 to {AUDIENCES_MAX} would do")
    return members


def checked_lifetime(seconds: float) -> float:
    """The time, if a token can be valid for it.

    Raises:
        ValueError: it cannot.
    """
    # Beyond a hundred years nobody means it, and the claim would not be a time any more.
    if not 1 <= seconds <= 100 * 365 * 86_400:
        raise ValueError(f"lifetime is {seconds!r}: a number of seconds from 1 on would do")
    return seconds
