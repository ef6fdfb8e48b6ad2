"""Keys that sign tokens: a secret, or a private key in PEM. Knows no claims. Shows nothing of a key in any text."""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from watertight_sse._log import logger

_HMAC_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
"""What each algorithm needs of a secret, bytes: as long as its hash (RFC 7518, section 3.2)."""
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_RSA_BITS = range(2048, 8192 + 1)
"""What a hub takes of an RSA key, bits."""
_FILE_BYTES_MAX = 64 * 1024
"""Longest key file, bytes."""
_LOOK_EVERY = 1.0
"""How often a key file is looked at, seconds: as often as the hub looks at its own."""


class SigningKey:
    """A key and the algorithm it signs with."""

    __slots__ = ("algorithm", "material")

    def __init__(self, algorithm: str, material: Any) -> None:
        """``material`` is what PyJWT takes for ``algorithm``."""
        self.algorithm = algorithm
        self.material = material

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm})"


class KeySource(Protocol):
    """Gives the key that signs the next token."""

    def key(self) -> SigningKey:
        """The key as it is now."""
        ...


class FixedKey:
    """One key, always the same."""

    __slots__ = ("_key",)

    def __init__(self, key: SigningKey) -> None:
        """Holds ``key`` as long as it lives itself."""
        self._key = key

    def key(self) -> SigningKey:
        """The key."""
        return self._key


class FileKey:
    """The key in a file, read again within about a second when the file has changed. With one that is of no use the key stays
    as it was, and the log says why: the hub, which looks at its own file every second, does the same.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        read: Callable[[bytes], SigningKey],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads it at once.

        Raises:
            OSError: the file cannot be read.
            ValueError: it holds no key that would do.
        """
        self._path = Path(path)
        self._read = read
        self._clock = clock
        self._seen = self._look()
        self._key = self._load()
        self._look_at = clock() + _LOOK_EVERY

    def key(self) -> SigningKey:
        """The key as the file has it now, or had it when it was last of use."""
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + _LOOK_EVERY
            self._read_again()
        return self._key

    def _read_again(self) -> None:
        try:
            seen = self._look()
            if seen == self._seen:
                return
            self._key = self._load()
            self._seen = seen
            logger.info("the key in %s was read again", self._path)
        except (OSError, ValueError) as error:
            logger.error("the key stays as it was: %s", error)

    def _look(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _load(self) -> SigningKey:
        with self._path.open("rb") as file:
            text = file.read(_FILE_BYTES_MAX + 1)
        if len(text) > _FILE_BYTES_MAX:
            raise ValueError(f"{self._path}: it is longer than {_FILE_BYTES_MAX} bytes")
        try:
            return self._read(text)
        except ValueError as error:
            raise ValueError(f"{self._path}: {error}") from error


def without_line_break(text: bytes) -> bytes:
    """The text of a file: one line break at its end does not belong to a secret."""
    for end in (b"\r\n", b"\n"):
        if text.endswith(end):
            return text[: -len(end)]
    return text


def from_secret(text: bytes, algorithm: str | None) -> SigningKey:
    """A secret in the form of the hub's ``token_secret``: the text itself, or ``base64:`` and its bytes in base64. Without an
    algorithm: HS256.

    Raises:
        ValueError: it is no secret, too short, or not for the algorithm.
    """
    other = _other_kind(text)
    if other is not None:
        raise ValueError(
            f"the secret is {other}, and everybody may know that: random text of 32 bytes or more would do"
        )
    secret = _from_base64(text.removeprefix(b"base64:")) if text.startswith(b"base64:") else text
    fits = [name for name, needs in _HMAC_BYTES.items() if len(secret) >= needs]
    if not fits:
        raise ValueError(
            f"the secret has {len(secret)} bytes: 32 or more would do; `watertight token secret` prints one"
        )
    return SigningKey(_pick(fits, algorithm), secret)


def from_private_key(text: bytes, algorithm: str | None) -> SigningKey:
    """A private key in PEM: RSA, EC on P-256 or P-384, Ed25519. Without an algorithm: the first that fits it.

    Raises:
        ValueError: it is no such key, or not for the algorithm.
    """
    if b"-----BEGIN" not in text:
        raise ValueError(
            "the private key is no PEM: `openssl genpkey -algorithm ed25519` prints one that would do"
        )
    reason = "it is of another kind than RSA of 2,048 to 8,192 bits, EC on P-256 or P-384, and Ed25519"
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except TypeError:
        key = None
        reason = "it is encrypted: `openssl pkcs8 -topk8 -nocrypt -in FILE` prints it as it would do"
    except Exception:  # whatever the library says of a damaged key, nothing of it may be quoted
        key = None
        reason = "it cannot be read: a block `PRIVATE KEY` would do"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        fits: tuple[str, ...] = ("EdDSA",)
    elif isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
        fits = ("ES256",) if isinstance(key.curve, ec.SECP256R1) else ("ES384",)
    elif isinstance(key, rsa.RSAPrivateKey) and key.key_size in _RSA_BITS:
        fits = _RSA
    else:
        raise ValueError(f"the private key cannot be used: {reason}")
    return SigningKey(_pick(fits, algorithm), key)


def _pick(fits: list[str] | tuple[str, ...], wanted: str | None) -> str:
    if wanted is None:
        return fits[0]
    if wanted not in fits:
        raise ValueError(f"the key is for {', '.join(fits)}, not for {wanted!r}")
    return wanted


def _from_base64(text: bytes) -> bytes:
    alike = text.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(alike + b"=" * (-len(alike) % 4), validate=True)
    except binascii.Error:
        pass
    raise ValueError("what stands behind `base64:` is no base64")


def _other_kind(text: bytes) -> str | None:
    start = text.lstrip()
    if b"-----BEGIN" in text:
        return "a key or certificate in PEM"
    if start.startswith((b"ssh-", b"ecdsa-sha2-")):
        return "an OpenSSH public key"
    if start.startswith(b"{") and b'"kty"' in text:
        return "a JSON Web Key"
    return None
