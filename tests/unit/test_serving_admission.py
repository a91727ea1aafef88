"""The server's hold on other people's bytes has two limits, and small requests are never shut out."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from verticalmodel.serving.admission import SMALL_BODY_BYTES, Admission, BodyTooLargeError, OverloadedError

LIMIT = 4 * SMALL_BODY_BYTES
LARGEST = b"x" * LIMIT
HUGE = b"x" * (LIMIT * 4 + 1)


def test_a_body_within_the_limit_comes_out_whole() -> None:
    """The last allowed byte is allowed."""
    admission = Admission(LIMIT)
    with admission.body() as body:
        body.receive(b"x" * (LIMIT - 1))
        body.receive(b"y")
        assert body.complete() == b"x" * (LIMIT - 1) + b"y"


def test_a_body_over_the_limit_is_refused_without_being_kept() -> None:
    """What is too large is read on for a while, so that its sender gets an answer, but holds no memory."""
    admission = Admission(LIMIT)
    with admission.body() as body:
        body.receive(b"x" * (LIMIT + 1))
        with pytest.raises(BodyTooLargeError):
            body.complete()
        with admission.body() as another:
            another.receive(LARGEST)
            assert len(another.complete()) == LIMIT
        with pytest.raises(BodyTooLargeError):
            body.receive(HUGE)


def test_large_bodies_together_are_bounded() -> None:
    """The fifth large body is refused while four are held, and admitted once one of them is answered."""
    admission = Admission(LIMIT)
    with ExitStack() as first:
        first.enter_context(admission.body()).receive(LARGEST)
        with ExitStack() as others:
            for _ in range(3):
                others.enter_context(admission.body()).receive(LARGEST)
            others.enter_context(admission.body()).receive(b"x" * SMALL_BODY_BYTES * 4)
            with pytest.raises(OverloadedError), admission.body() as fifth:
                fifth.receive(LARGEST)
        with admission.body() as late:
            late.receive(LARGEST)


def test_a_small_body_is_admitted_however_many_large_ones_are_held() -> None:
    """Slow large bodies shut out nobody but each other."""
    admission = Admission(LIMIT)
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(admission.body()).receive(LARGEST)
        with admission.body() as small:
            small.receive(b"x" * SMALL_BODY_BYTES)
            assert len(small.complete()) == SMALL_BODY_BYTES


def test_a_request_that_ends_gives_everything_back() -> None:
    """However a request ends, nothing stays counted: a thousand requests later there is room as on the first day."""
    admission = Admission(LIMIT)
    for _ in range(1000):
        with admission.body() as body:
            body.receive(LARGEST)
        with pytest.raises(BodyTooLargeError), admission.body() as body:
            body.receive(HUGE)
    with ExitStack() as held:
        for _ in range(4):
            held.enter_context(admission.body()).receive(LARGEST)
