"""Which patterns mean the same to pydantic (Rust regex) and to the API server (RE2).

An allow-list: both engines agree on what passes, and whatever is not known to agree is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["objection"]

_REPEAT_LIMIT = 1000
"""RE2 refuses a larger repetition count."""
_PUNCTUATION = frozenset(r"\.+*?()|[]{}^$-/")
_COUNTED = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}")
_TOKEN = re.compile(
    r"""
      (?P<escape> \\ . )
    | (?P<set> \[ \^? \]? (?: \\ . | [^\]\\] )* \] )
    | (?P<group> \( \? (?: P?< [=!]? | . )? )
    | (?P<repeat> (?: [*+?] | \{ [0-9]+ (?: , [0-9]* )? \} ) [?+]? )
    | (?P<plain> . )
    """,
    re.VERBOSE | re.DOTALL,
)


def objection(pattern: str) -> str:
    """Why RE2 would refuse this pattern or read it otherwise than pydantic; empty where both agree."""
    return next(_objections(pattern), "")


def _objections(pattern: str) -> Iterator[str]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield f"it is no regular expression: {error}"
        return
    for match in _TOKEN.finditer(pattern):
        text = match.group()
        reason = _REASONS[match.lastgroup or "plain"](text)
        if reason:
            yield f"{text!r}: {reason}"


def _escape(text: str) -> str:
    if text[1] in _PUNCTUATION:
        return ""
    if text[1] in "dDwWsSbB":
        return "a class that is Unicode in one engine and ASCII in the other; write it out, for example [0-9]"
    if text[1].isdigit():
        return "RE2 has no back-references"
    return "the engines differ on this escape; write the character itself"


def _set(text: str) -> str:
    inner = text[1:-1].removeprefix("^")
    if "[" in inner or any(operator in inner for operator in ("&&", "--", "~~")):
        return "nested sets and set operations are not RE2; escape or reorder the characters"
    return next(filter(None, map(_escape, re.findall(r"\\.", inner, re.DOTALL))), "")


def _group(text: str) -> str:
    return "" if text == "(?:" else "RE2 has no look-around, and of the other groups only (?: ) is used here"


def _repeat(text: str) -> str:
    if len(text) > 1 and text.endswith("+"):
        return "RE2 has no possessive repetition"
    counted = _COUNTED.match(text)
    if counted and any(int(bound) > _REPEAT_LIMIT for bound in counted.groups() if bound):
        return f"RE2 repeats at most {_REPEAT_LIMIT} times"
    return ""


def _plain(text: str) -> str:
    if text in "{}]":
        return "escape it: the engines differ on a bracket that closes or opens nothing"
    return "" if text.isascii() and text.isprintable() else "only printable ASCII is compared alike everywhere"


_REASONS = {"escape": _escape, "set": _set, "group": _group, "repeat": _repeat, "plain": _plain}
