"""Tokens that a hub takes, and what is refused before it is signed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from tests.kit.hub import HubProcess, hub_binary
from watertight_sse._keys import FileKey, from_secret
from watertight_sse.tokens import Minter, session_pattern

SECRET = "0123456789abcdef0123456789abcdef"


def pem(key: Any) -> bytes:
    """The private key as `openssl genpkey` prints it."""
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def public(key: Any) -> bytes:
    """The half that the hub has."""
    return bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key for RS256."""
    return rsa.generate_private_key(65537, bits)


KEYS: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RS256": rsa_key,
}


def inspect(token: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What the hub's own program says of it: 0 if a hub would accept it."""
    return subprocess.run(
        [hub_binary(), "token", "inspect", *options],
        input=token,
        text=True,
        capture_output=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("form", ["raw", "base64"])
def test_a_hub_takes_what_a_secret_signs(tmp_path: Path, algorithm: str, form: str) -> None:
    file = tmp_path / "secret"
    if form == "raw":
        file.write_text(SECRET * 2 + "\n")
    else:
        file.write_text(subprocess.check_output([hub_binary(), "token", "secret"], text=True))
    minter = Minter(secret_file=file, algorithm=algorithm)
    token = minter.mint(sub="ada", subscribe=["sessions/runs/*"], publish=["sessions/ada-*"])
    seen = inspect(token, "--secret-file", str(file))
    assert seen.returncode == 0, seen.stdout
    assert f'alg: "{algorithm}"' in seen.stdout
    assert "subscribe sessions/runs/*" in seen.stdout


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_hub_takes_what_a_private_key_signs(tmp_path: Path, algorithm: str) -> None:
    key = KEYS[algorithm]()
    (tmp_path / "public.pem").write_bytes(public(key))
    (tmp_path / "private.pem").write_bytes(pem(key))
    for given in (pem(key), pem(key).decode(), tmp_path / "private.pem"):
        minter = Minter(
            private_key=given, kid="key-1", issuer="https://login.example", audience=["hub", "other"]
        )
        seen = inspect(
            minter.mint(sub="ü", subscribe=["**"]),
            "--public-key",
            str(tmp_path / "public.pem"),
            "--issuer",
            "https://login.example",
            "--audience",
            "hub",
        )
        assert seen.returncode == 0, seen.stdout + seen.stderr
        assert f'alg: "{algorithm}"' in seen.stdout
        assert 'kid: "key-1"' in seen.stdout


def test_a_token_says_what_was_asked_and_nothing_else() -> None:
    minter = Minter(secret=SECRET, lifetime=60, clock=lambda: 1_000_000.9)
    claims = jwt.decode(
        minter.mint(sub="ada", subscribe=["sessions/a"]), SECRET, ["HS256"], options={"verify_exp": False}
    )
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", claims.pop("jti"))
    assert claims == {
        "sub": "ada",
        "iat": 1_000_000,
        "exp": 1_000_060,
        "watertight": {"subscribe": ["sessions/a"]},
    }
    issued = minter.issue(publish=["sessions/a"], admin=True, lifetime=5, jti="id")
    claims = jwt.decode(issued.token, SECRET, ["HS256"], options={"verify_exp": False})
    assert claims == {
        "jti": "id",
        "iat": 1_000_000,
        "exp": 1_000_005,
        "watertight": {"publish": ["sessions/a"], "admin": True},
    }
    assert issued.expires_at == 1_000_005
    assert minter.mint(sub="ada") != minter.mint(sub="ada"), "each has an id of its own"


def test_a_real_hub_lets_in_whom_the_token_names_and_nobody_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    minter = Minter(secret_file=secret)
    with HubProcess("--token-secret-file", str(secret)) as hub:
        hub.use_token(minter.mint(publish=["sessions/mine"], admin=True))
        hub.publish("mine", ["x"])
        with pytest.raises(AssertionError, match=r"403 .*FORBIDDEN"):
            hub.publish("yours", ["x"])
        hub.use_token(Minter(secret=SECRET[::-1]).mint(publish=["sessions/mine"]))
        with pytest.raises(AssertionError, match=r"401 .*INVALID_TOKEN"):
            hub.publish("mine", ["x"])
        hub.use_token(minter.mint(admin=True))


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/",
        "sessions/",
        "/sessions/a",
        "sessions//a",
        "sessions/./a",
        "sessions/..",
        "sessions/a**",
        "**/x/**",
        "sessions/a\n",
        "sessions/\x7f",
        "sessions/" + "x" * 248,
        "sessions/" + "ü" * 124,
        "/".join("a" * 17),
        "\ud800",
    ],
)
def test_a_pattern_that_a_hub_refuses_is_never_signed(pattern: str) -> None:
    minter = Minter(secret=SECRET)
    for name in ("subscribe", "publish"):
        with pytest.raises(ValueError, match=name):
            minter.mint(**{name: [pattern]})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": ""},
        {"sub": "x" * 257},
        {"sub": "a\nb"},
        {"sub": "\x85"},
        {"jti": ""},
        {"jti": "x" * 257},
        {"lifetime": 0},
        {"lifetime": float("nan")},
        {"lifetime": float("inf")},
        {"subscribe": [f"sessions/{number}" for number in range(65)]},
        {"subscribe": ["sessions/" + f"{number}" * 100 for number in range(64)]},
    ],
)
def test_claims_that_a_hub_refuses_are_never_signed(claims: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Minter(secret=SECRET).mint(**claims)


def test_one_text_is_no_list_of_patterns() -> None:
    with pytest.raises(TypeError, match="list"):
        Minter(secret=SECRET).mint(subscribe="sessions/a")
    with pytest.raises(TypeError):
        Minter(secret=SECRET).mint(sub=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("session", ["a*", "*", "**", "a/../b", "a//b", "/a", "", ".", "x" * 300, "a\n"])
def test_a_name_that_no_pattern_is_about_alone_gets_none(session: str) -> None:
    with pytest.raises(ValueError, match=r"session|name"):
        session_pattern(session)
    assert session_pattern("a/b c") == "sessions/a/b c"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "one key"),
        ({"secret": SECRET, "secret_file": "x"}, "one key"),
        ({"secret": "short"}, "5 bytes"),
        ({"secret": "base64:!!!!"}, "base64"),
        ({"secret": "base64:QUJD"}, "3 bytes"),
        ({"secret": pem(KEYS["EdDSA"]())}, "PEM"),
        ({"secret": "ssh-ed25519 AAAA" + "A" * 40}, "OpenSSH"),
        ({"secret": '{"kty":"oct","k":"' + "A" * 40 + '"}'}, "JSON Web Key"),
        ({"secret": SECRET, "algorithm": "HS512"}, "HS256"),
        ({"secret": SECRET, "algorithm": "none"}, "none"),
        ({"private_key": SECRET}, "openssl"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, "cannot be read"),
        ({"private_key": pem(x25519.X25519PrivateKey.generate())}, "another kind"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256K1()))}, "another kind"),
        ({"private_key": pem(rsa_key(1024))}, "another kind"),
        ({"private_key": pem(KEYS["ES256"]()), "algorithm": "EdDSA"}, "ES256"),
        ({"secret": SECRET, "lifetime": 0.5}, "lifetime"),
        ({"secret": SECRET, "kid": ""}, "kid"),
        ({"secret": SECRET, "issuer": "x" * 513}, "issuer"),
        ({"secret": SECRET, "audience": []}, "audience"),
        ({"secret": SECRET, "audience": ["a"] * 33}, "audience"),
    ],
)
def test_a_key_that_would_not_do_is_named_and_never_shown(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        Minter(**options)
    assert SECRET[:8] not in str(caught.value)


def test_an_encrypted_key_says_what_would_do() -> None:
    text = KEYS["ES256"]().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    with pytest.raises(ValueError, match="nocrypt"):
        Minter(private_key=text)


def test_a_key_file_that_changes_is_read_again_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    now = 0.0
    file = tmp_path / "secret"
    file.write_text(SECRET)
    key = FileKey(file, lambda text: from_secret(text, None), clock=lambda: now)

    def replace(text: str) -> None:
        (tmp_path / "next").write_text(text)
        os.replace(tmp_path / "next", file)

    replace("x" * 40)
    assert key.key().material == SECRET.encode(), "it is looked at once a second"
    now = 1.0
    assert key.key().material == b"x" * 40
    replace("short")
    now = 2.0
    assert key.key().material == b"x" * 40
    file.unlink()
    now = 3.0
    assert key.key().material == b"x" * 40
    replace("y" * 40)
    now = 4.0
    assert key.key().material == b"y" * 40
    with pytest.raises(FileNotFoundError):
        Minter(secret_file=tmp_path / "nowhere")


def test_nothing_that_is_printed_shows_a_key_or_a_token() -> None:
    minter = Minter(secret=SECRET)
    issued = minter.issue(sub="ada")
    key = minter._keys.key()  # pyright: ignore[reportPrivateUsage] - what must not show itself
    printed = f"{minter!r} {issued!r} {key!r} {json.dumps(str(vars(minter)))}"
    assert SECRET not in printed
    assert issued.token not in printed
