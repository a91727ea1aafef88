"""Claims about the change of certificate authorities: trusted before it signs, trusted while anybody may show it."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from verticalmodel.authority_rotation import (
    DELIVERY,
    Authorities,
    Move,
    Retired,
    Signer,
    Step,
    next_step,
    succession,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
LIFE = timedelta(days=3650)
OVERLAP = timedelta(days=1)
OLD = Signer("sha256:old", START, START + LIFE)
NEW = Signer("sha256:new", START + LIFE / 2, START + LIFE / 2 + LIFE)
NOW = START + LIFE / 2
MOMENT = timedelta(seconds=1)
NOBODY: frozenset[str] = frozenset()
BY_ONE = frozenset({OLD.fingerprint})


def step(known: Authorities, now: datetime = NOW, named: frozenset[str] = NOBODY) -> Step:
    return next_step(known, named, now, OVERLAP)


def test_a_successor_is_made_after_two_thirds_of_a_life_and_not_before() -> None:
    due = START + timedelta(days=3650 * 2 / 3)
    assert succession(OLD) == due
    assert step(Authorities(OLD), due - MOMENT) == Step(Move.NONE)
    assert step(Authorities(OLD), due) == Step(Move.MAKE_SUCCESSOR)


def test_a_request_makes_a_successor_at_once_and_a_second_request_no_second_one() -> None:
    assert step(Authorities(OLD, requested=True)) == Step(Move.MAKE_SUCCESSOR)
    waiting = Authorities(OLD, NEW, NOW, requested=True)
    assert step(waiting, NOW) == Step(Move.NONE)


def test_a_successor_signs_only_after_its_bundle_has_been_out_for_the_overlap() -> None:
    assert step(Authorities(OLD, NEW)) == Step(Move.NOTE_PUBLISHED)
    assert step(Authorities(OLD, NEW, NOW), NOW + OVERLAP - MOMENT) == Step(Move.NONE)
    assert step(Authorities(OLD, NEW, NOW), NOW + OVERLAP) == Step(Move.PROMOTE)


def test_an_expired_signer_is_not_waited_for_but_its_successor_is_published_first() -> None:
    late = OLD.not_after
    assert step(Authorities(OLD, NEW), late) == Step(Move.NOTE_PUBLISHED)
    assert step(Authorities(OLD, NEW, late), late) == Step(Move.PROMOTE)


@pytest.mark.parametrize(
    ("unnamed_since", "named", "after", "kept"),
    [
        (NOW, NOBODY, OVERLAP, ()),
        (NOW, NOBODY, OVERLAP - MOMENT, (OLD.fingerprint,)),
        (NOW, BY_ONE, OVERLAP, (OLD.fingerprint,)),
        (None, NOBODY, OVERLAP, (OLD.fingerprint,)),
        (None, BY_ONE, OVERLAP, (OLD.fingerprint,)),
    ],
)
def test_a_retired_authority_is_trusted_until_nobody_has_named_it_for_the_overlap(
    unnamed_since: datetime | None, named: frozenset[str], after: timedelta, kept: tuple[str, ...]
) -> None:
    known = Authorities(NEW, retired=(Retired(OLD.fingerprint, OLD.not_after, unnamed_since),))
    taken = step(known, NOW + after, named)
    left = known.retired if taken.move is Move.NONE else taken.retired
    assert tuple(one.fingerprint for one in left) == kept


def test_one_that_is_named_again_starts_anew() -> None:
    known = Authorities(NEW, retired=(Retired(OLD.fingerprint, OLD.not_after, NOW),))
    assert step(known, NOW + MOMENT, BY_ONE).retired == (Retired(OLD.fingerprint, OLD.not_after, None),)


def test_a_short_overlap_still_waits_for_kubelets() -> None:
    known = Authorities(NEW, retired=(Retired(OLD.fingerprint, OLD.not_after, NOW),))
    assert next_step(known, NOBODY, NOW + DELIVERY - MOMENT, timedelta(0)) == Step(Move.NONE)
    assert next_step(known, NOBODY, NOW + DELIVERY, timedelta(0)) == Step(Move.RECORD_RETIRED, ())


def test_an_expired_authority_leaves_whoever_names_it() -> None:
    known = Authorities(NEW, retired=(Retired(OLD.fingerprint, OLD.not_after, None),))
    assert step(known, OLD.not_after, BY_ONE) == Step(Move.RECORD_RETIRED, ())


def test_whenever_the_operator_dies_what_is_shown_is_trusted_and_the_bundle_was_out_before_anybody_signed() -> None:
    """Three lives of authorities, the operator asleep or killed between any two writes, guards that lag behind."""
    seed = random.SystemRandom().randrange(10**6)
    world = World(random.Random(seed))  # noqa: S311 - not for secrets
    while world.now < START + 3 * LIFE:
        world.live()
        assert world.shown <= world.bundle.keys(), seed
        assert world.now - world.bundle[world.known.signing.fingerprint] >= OVERLAP or world.made == 1, seed
    assert world.made >= 4, seed
    assert len(world.bundle) <= 3, seed


class World:
    """The Secret (`known`), the bundle with since when each stands in it, and what guards show."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.now, self.made = chance, START, 1
        self.known = Authorities(OLD)
        self.bundle = {OLD.fingerprint: START}
        self.named = OLD.fingerprint
        self.shown = {OLD.fingerprint}

    def live(self) -> None:
        self.now += timedelta(hours=self.chance.choice([0.01, 1, 5, 24, 400]))
        # Guards show by now what the status named before, the time of their kubelets being over.
        self.shown = {self.named}
        while self.chance.random() > 0.3:
            in_bundle = [self.known.signing, *([self.known.successor] if self.known.successor else [])]
            trusted = [one.fingerprint for one in (*in_bundle, *self.known.retired)]
            self.bundle = {one: self.bundle.get(one, self.now) for one in trusted}
            if self.chance.random() < 0.3:
                return
            self.take(next_step(self.known, frozenset({self.named}), self.now, OVERLAP))
            if self.chance.random() < 0.5:
                self.named = self.known.signing.fingerprint
                self.shown |= {self.named}

    def take(self, taken: Step) -> None:
        known = self.known
        if taken.move is Move.MAKE_SUCCESSOR:
            self.made += 1
            self.known = replace(known, successor=Signer(f"sha256:{self.made}", self.now, self.now + LIFE))
        elif taken.move is Move.NOTE_PUBLISHED:
            self.known = replace(known, successor_published=self.now)
        elif taken.move is Move.PROMOTE and known.successor:
            former = Retired(known.signing.fingerprint, known.signing.not_after)
            self.known = Authorities(known.successor, retired=(*known.retired, former))
        elif taken.move is Move.RECORD_RETIRED:
            self.known = replace(known, retired=taken.retired)
