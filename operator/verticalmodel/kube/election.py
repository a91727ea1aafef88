"""Who may lead: the rules of a Lease, without a clock, a network or a task of their own. Pure.

Safety: a leader counts its term from the moment *before* it sent the renewal that succeeded, and ends it
`renew_deadline` later. A rival counts from the moment *after* it received the record in its present form, and waits
`lease_duration`, which is longer. Each uses nothing but its own clock, so the clocks need not agree on the time of day,
only run at rates that differ by less than lease_duration / renew_deadline. Source: coordination.k8s.io/v1 Lease and
the rules of client-go's leaderelection, with the request's duration counted on the safe side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

__all__ = ["Election", "Record", "Timing"]


@dataclass(frozen=True)
class Timing:
    """Seconds. A dead leader is replaced `lease_duration` after its last renewal was seen, plus one `retry` at most."""

    lease_duration: float = 8.0
    renew_deadline: float = 5.0
    retry: float = 1.0
    request: float = 1.5
    """Longest time one request may take; a term survives two that fail."""

    def __post_init__(self) -> None:
        """Refuse what cannot be safe or cannot be stored."""
        if not 0 < self.retry <= self.renew_deadline < self.lease_duration:
            raise ValueError("needed: 0 < retry <= renew_deadline < lease_duration")
        if not 0 < self.request < self.renew_deadline:
            raise ValueError("needed: 0 < request < renew_deadline")
        if self.lease_duration != int(self.lease_duration):
            raise ValueError("lease_duration must be whole seconds: the Lease stores an integer")


@dataclass(frozen=True)
class Record:
    """spec of a Lease, as far as elections go; an empty holder means that nobody leads."""

    holder: str = ""
    duration: float = 0.0
    acquired: datetime | None = None
    renewed: datetime | None = None
    transitions: int = 0

    @classmethod
    def parse(cls, spec: dict[str, Any]) -> Record:
        """From wire form; missing fields mean nobody, as with a Lease that somebody made by hand."""
        return cls(
            holder=spec.get("holderIdentity") or "",
            duration=float(spec.get("leaseDurationSeconds") or 0),
            acquired=_moment(spec.get("acquireTime")),
            renewed=_moment(spec.get("renewTime")),
            transitions=int(spec.get("leaseTransitions") or 0),
        )

    def wire(self) -> dict[str, Any]:
        """To wire form: MicroTime stamps, whole seconds."""
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": max(1, int(self.duration)),
            "acquireTime": _micro_time(self.acquired),
            "renewTime": _micro_time(self.renewed),
            "leaseTransitions": self.transitions,
        }


class Election:
    """One candidate's view of one Lease. `now` is always the candidate's own monotonic clock, in seconds."""

    def __init__(self, identity: str, timing: Timing) -> None:
        if not identity:
            raise ValueError("identity must not be empty: an empty holder means that nobody leads")
        self.identity = identity
        self.timing = timing
        self._seen: Record | None = None
        self._seen_at = 0.0
        self._term_ends = float("-inf")

    def observe(self, record: Record, now: float) -> None:
        """The Lease was read; `now` is taken after the answer came.

        A Lease that vanished is not observed: its holder's promise runs on, because nobody told the holder.
        """
        if record != self._seen:
            self._seen = record
            self._seen_at = now

    def leads(self, now: float) -> bool:
        """True while no rival can have taken over."""
        return now < self._term_ends

    def term_left(self, now: float) -> float:
        """Seconds until the term ends unless it is renewed; 0 without a term."""
        return max(0.0, self._term_ends - now)

    def may_take_in(self, now: float) -> float:
        """Seconds until this candidate may write itself into the observed Lease; 0 means now."""
        if self._seen is None:
            return 0.0
        if self._seen.holder in {"", self.identity}:
            return 0.0
        # The holder's promise counts, whatever our own setting is.
        promised = self._seen.duration or self.timing.lease_duration
        return max(0.0, self._seen_at + promised - now)

    def claim(self, wall: datetime) -> Record:
        """The record that takes or renews the lease. `wall` is for people only, but makes every renewal a change."""
        seen = self._seen or Record()
        mine = seen.holder == self.identity
        # A wall clock that stands still or jumps back must not make two renewals look the same.
        moment = max(wall, seen.renewed + timedelta(microseconds=1)) if seen.renewed else wall
        return Record(
            holder=self.identity,
            duration=self.timing.lease_duration,
            acquired=seen.acquired if mine and seen.acquired else moment,
            renewed=moment,
            transitions=seen.transitions if mine else seen.transitions + 1,
        )

    def claimed(self, record: Record, sent_at: float, now: float) -> None:
        """The claim was accepted; `sent_at` is taken before it was sent, `now` after the answer."""
        self.observe(record, now)
        self._term_ends = sent_at + self.timing.renew_deadline

    def resign(self) -> Record | None:
        """End the term at once. Returns the record that lets a rival in without waiting, None where we hold nothing."""
        self._term_ends = float("-inf")
        if self._seen is None or self._seen.holder != self.identity:
            return None
        return replace(self._seen, holder="", duration=1.0)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _micro_time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None
