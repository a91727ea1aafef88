"""How one certificate authority takes over from another without a client that trusts neither. Pure.

A new authority is trusted before it signs, and an old one as long as anything that it signed may still be shown. Every
answer is one step, right to repeat: who acts on it stores it in one write, publishes the bundle, and asks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

SUCCESSION = 2 / 3
"""The share of its life after which an authority gets a successor."""
DELIVERY = timedelta(minutes=5)
"""What a re-issued certificate may take from its Secret into a guard: a kubelet needs up to 90 s."""


@dataclass(frozen=True)
class Signer:
    """An authority's public facts."""

    fingerprint: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True)
class Retired:
    """An authority that signs no more and is still trusted."""

    fingerprint: str
    not_after: datetime
    unnamed_since: datetime | None = None
    """Since when no model's status names it; None while one does, or nobody has looked."""


@dataclass(frozen=True)
class Authorities:
    """What stands in the trust bundle."""

    signing: Signer
    successor: Signer | None = None
    successor_published: datetime | None = None
    """By when a bundle with the successor had been published; None where that is not certain."""
    retired: tuple[Retired, ...] = ()
    requested: bool = False
    """Somebody asked for a rotation."""


class Move(Enum):
    """One step."""

    NONE = "nothing to do"
    MAKE_SUCCESSOR = "make a successor and trust it"
    NOTE_PUBLISHED = "note that the bundle with the successor is out"
    PROMOTE = "the successor signs, the former signer retires"
    RECORD_RETIRED = "store the retired authorities as given"


@dataclass(frozen=True)
class Step:
    """What to do next; `retired` with it, for Move.RECORD_RETIRED."""

    move: Move
    retired: tuple[Retired, ...] = ()


def next_step(known: Authorities, named: frozenset[str], now: datetime, overlap: timedelta) -> Step:
    """The next step. The bundle must have been published as `known` says before this is asked.

    `named` are the issuers in the models' status, `overlap` is how long clients get to take a new bundle. A request
    made while a successor waits is that successor's.
    """
    if known.successor is None:
        if known.requested or now >= succession(known.signing):
            return Step(Move.MAKE_SUCCESSOR)
    elif known.successor_published is None:
        return Step(Move.NOTE_PUBLISHED)
    elif now >= min(known.successor_published + overlap, known.signing.not_after):
        # An expired signer proves nothing to anybody: nothing is lost by not waiting.
        return Step(Move.PROMOTE)
    kept = tuple(_seen(one, named, now) for one in known.retired if not _gone(one, named, now, overlap))
    return Step(Move.RECORD_RETIRED, kept) if kept != known.retired else Step(Move.NONE)


def succession(signer: Signer) -> datetime:
    """When an authority is to get a successor."""
    return signer.not_before + (signer.not_after - signer.not_before) * SUCCESSION


def _seen(one: Retired, named: frozenset[str], now: datetime) -> Retired:
    since = None if one.fingerprint in named else one.unnamed_since or now
    return Retired(one.fingerprint, one.not_after, since)


def _gone(one: Retired, named: frozenset[str], now: datetime, overlap: timedelta) -> bool:
    if now >= one.not_after:
        return True
    if one.fingerprint in named or one.unnamed_since is None:
        return False
    return now >= one.unnamed_since + max(overlap, DELIVERY)
