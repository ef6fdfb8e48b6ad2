"""What a token may grant, checked as a hub checks it. Knows no key and no clock."""

from __future__ import annotations

from collections.abc import Iterable

PATTERNS_MAX = 64
"""Patterns in one list of a token at most: every publish and subscribe may try them all."""
PATTERN_BYTES_MAX = 256
"""Longest pattern, bytes."""
PATTERN_SEGMENTS_MAX = 16
"""Segments of a pattern at most."""
NAME_BYTES_MAX = 256
"""Longest ``sub``, ``jti`` and ``kid``, bytes."""
ISSUER_BYTES_MAX = 512
"""Longest ``iss``, and longest member of ``aud``, bytes."""
AUDIENCES_MAX = 32
"""Members of an ``aud`` list at most."""

_ANY_SEGMENTS = "**"


def check_patterns(name: str, patterns: Iterable[str]) -> list[str]:
    """The patterns as a list.

    Raises:
        ValueError: a hub would refuse a token that has them, or they would grant nothing. The text names the pattern.
        TypeError: a single text instead of a list of them, or something that is no text.
    """
    if isinstance(patterns, str):
        raise TypeError(f"{name} is a list of patterns, not one text: [{patterns!r}] would do")
    checked = [_checked(name, pattern) for pattern in patterns]
    if len(checked) > PATTERNS_MAX:
        raise ValueError(f"{name} has {len(checked)} patterns: {PATTERNS_MAX} at most")
    return checked


def session_pattern(session: str) -> str:
    """The pattern that grants this session, and nothing else.

    Raises:
        ValueError: there is none: a star in the name would grant other sessions, too, and a path in which a segment is empty,
            ``.`` or ``..`` is granted to nobody.
    """
    if "*" in session:
        raise ValueError(
            f"no token can be for the session {session!r} alone: a star stands for other names, too"
        )
    return _checked("the session name", f"sessions/{session}")


def check_name(what: str, text: str, longest: int = NAME_BYTES_MAX) -> str:
    """The text, if a hub takes it as a user, an id, an issuer or an audience.

    Raises:
        ValueError: it is empty, too long, or has control characters. The text shows its length alone.
        TypeError: it is no text.
    """
    # A caller without types may give a number, which the hub would refuse later.
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{what} is a text, not {type(text).__name__}")
    length = _byte_length(what, text)
    if not 1 <= length <= longest or _has_control(text):
        raise ValueError(
            f"{what} has 1 to {longest} bytes and no control characters; this one has {length} bytes"
        )
    return text


def _checked(name: str, pattern: str) -> str:
    if not isinstance(pattern, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name}: a pattern is a text, not {type(pattern).__name__}")
    fault = _fault(pattern, _byte_length(name, pattern))
    if fault is not None:
        raise ValueError(f"{name}: {pattern[:PATTERN_BYTES_MAX]!r} {fault}")
    return pattern


def _fault(pattern: str, length: int) -> str | None:
    """What a hub finds fault with first."""
    segments = pattern.split("/")
    faults = (
        (not pattern, "is empty"),
        (length > PATTERN_BYTES_MAX, f"is longer than {PATTERN_BYTES_MAX} bytes"),
        (_has_control(pattern), "has a control character"),
        (len(segments) > PATTERN_SEGMENTS_MAX, f"has more than {PATTERN_SEGMENTS_MAX} segments"),
        ("" in segments, "has an empty segment (a slash at its start or end, or two in a row)"),
        ("." in segments or ".." in segments, "has a segment that is only dots, which no path has"),
        (
            any(_ANY_SEGMENTS in segment and segment != _ANY_SEGMENTS for segment in segments),
            "has `**` beside other characters: it stands for whole segments",
        ),
        (segments.count(_ANY_SEGMENTS) > 1, "has `**` twice"),
    )
    return next((fault for is_so, fault in faults if is_so), None)


def _byte_length(what: str, text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        pass
    raise ValueError(f"{what} is no Unicode text (a lone surrogate)")


def _has_control(text: str) -> bool:
    # What Unicode calls control characters: C0, DEL and C1.
    return any(character < " " or "\x7f" <= character <= "\x9f" for character in text)
