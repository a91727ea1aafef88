"""Claims about leadership: never two leaders, quick hand-over, and no trust in anybody's time of day."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from unit.kube_stub import StubApi, connected
from unit.virtual_time import now, run
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.election import Election, Record, Timing
from verticalmodel.kube.errors import AlreadyExists, ApiError, Conflict, NotFound, Unreachable
from verticalmodel.kube.leader import Leader, LeadershipLost, NotLeader
from verticalmodel.kube.resources import LEASES, Key, Resource

LEASE = Key("system", "operator")
TIMING = Timing()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


# --- the rules alone


def test_nobody_holds_a_lease_that_was_never_seen() -> None:
    election = Election("a", TIMING)
    assert election.may_take_in(100.0) == 0.0
    assert not election.leads(100.0)


def test_a_claim_on_an_empty_lease() -> None:
    election = Election("a", TIMING)
    assert election.claim(NOON) == Record("a", 8.0, NOON, NOON, transitions=1)


def test_a_term_counts_from_before_the_request() -> None:
    election = Election("a", TIMING)
    election.claimed(election.claim(NOON), sent_at=100.0, now=101.4)
    assert (election.leads(104.9), election.leads(105.0)) == (True, False)
    assert election.term_left(103.0) == 2.0


def test_a_rival_waits_from_when_it_saw_the_record_last_change() -> None:
    election = Election("b", TIMING)
    record = Record("a", 8.0, NOON, NOON, 1)
    election.observe(record, 100.0)
    election.observe(record, 107.0)
    assert election.may_take_in(107.5) == 0.5
    election.observe(Record("a", 8.0, NOON, NOON + timedelta(seconds=1), 1), 107.9)
    assert election.may_take_in(108.0) == pytest.approx(7.9)


def test_the_holders_promise_counts_not_our_own_setting() -> None:
    election = Election("b", TIMING)
    election.observe(Record("a", 30.0, NOON, NOON, 1), 100.0)
    assert election.may_take_in(109.0) == 21.0


def test_a_released_lease_is_free_at_once() -> None:
    holder, rival = Election("a", TIMING), Election("b", TIMING)
    holder.claimed(holder.claim(NOON), 100.0, 100.1)
    released = holder.resign()
    assert released is not None
    rival.observe(released, 101.0)
    assert (holder.leads(100.2), rival.may_take_in(101.0)) == (False, 0.0)


def test_a_renewal_keeps_the_term_and_a_new_holder_counts_one_more_transition() -> None:
    first, second = Election("a", TIMING), Election("b", TIMING)
    first.claimed(first.claim(NOON), 100.0, 100.1)
    later = NOON + timedelta(seconds=1)
    assert first.claim(later) == Record("a", 8.0, NOON, later, 1)
    second.observe(first.claim(later), 101.0)
    assert second.claim(later + timedelta(seconds=9)).transitions == 2


def test_two_renewals_differ_even_if_the_time_of_day_stands_still_or_jumps_back() -> None:
    election = Election("a", TIMING)
    election.claimed(election.claim(NOON), 100.0, 100.1)
    again = election.claim(NOON)
    election.claimed(again, 101.0, 101.1)
    before = election.claim(NOON - timedelta(days=1))
    assert again.renewed is not None
    assert before.renewed is not None
    assert NOON < again.renewed < before.renewed


def test_who_holds_nothing_has_nothing_to_resign() -> None:
    election = Election("a", TIMING)
    assert election.resign() is None
    election.observe(Record("b", 8.0, NOON, NOON, 1), 100.0)
    assert election.resign() is None


def test_a_record_survives_the_wire() -> None:
    record = Record("a", 8.0, NOON, NOON + timedelta(microseconds=7), 3)
    assert Record.parse(record.wire()) == record
    assert Record.parse({}) == Record()


@pytest.mark.parametrize(
    "wrong",
    [
        {"renew_deadline": 8.0},
        {"retry": 6.0},
        {"retry": 0.0},
        {"request": 5.0},
        {"lease_duration": 8.5},
    ],
)
def test_unsafe_timing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"needed|whole seconds"):
        Timing(**wrong)


def test_an_empty_identity_is_refused() -> None:
    with pytest.raises(ValueError, match="identity"):
        Election("", TIMING)


# --- the rules against an adversary: any delay, any loss, clocks of different rates that agree on nothing


@dataclass
class Claim:
    """A request under way: `arrived` once it took effect or was refused."""

    record: Record
    based_on: int
    sent_at: float
    arrived: bool = False
    version: int = 0
    """What the Lease became; 0 where the claim was refused."""


@dataclass
class Replica:
    """A candidate with a clock of its own, and at most one request under way."""

    election: Election
    rate: float
    offset: float
    known: int = 0
    claim: Claim | None = None


class NeverTwoLeaders(RuleBasedStateMachine):
    """A request takes effect, and is answered, at once, later or never; standbys look all the time."""

    # Rates must differ by less than lease_duration / renew_deadline = 1.6.
    RATES = st.floats(0.8, 1.25)
    OFFSETS = st.floats(-1e6, 1e6)

    @initialize(rates=st.tuples(RATES, RATES), offsets=st.tuples(OFFSETS, OFFSETS))
    def start(self, rates: tuple[float, float], offsets: tuple[float, float]) -> None:
        self.time = 0.0
        self.record = Record()
        self.version = 1
        self.abandoned: list[Claim] = []
        self.replicas = [
            Replica(Election(name, TIMING), rate, offset)
            for name, rate, offset in zip("ab", rates, offsets, strict=True)
        ]
        self.time_passes(0.0)

    def clock(self, replica: Replica) -> float:
        return replica.offset + replica.rate * self.time

    def look(self, replica: Replica) -> None:
        replica.election.observe(self.record, self.clock(replica))
        replica.known = self.version

    def take_effect(self, claim: Claim) -> None:
        claim.arrived = True
        if claim.based_on == self.version:
            self.version += 1
            self.record, claim.version = claim.record, self.version

    def answer(self, replica: Replica, claim: Claim) -> None:
        replica.claim = None
        if claim.version:
            replica.election.claimed(claim.record, claim.sent_at, self.clock(replica))
            replica.known = claim.version

    @rule(seconds=st.sampled_from([0.5, 3.0, 4.5, 8.5]))
    def time_passes(self, seconds: float) -> None:
        for step in (0.0, seconds):
            self.time += step
            for replica in self.replicas:
                if replica.claim is None:
                    self.look(replica)

    def able(self) -> list[Replica]:
        """Replicas that may claim now."""
        return [r for r in self.replicas if r.claim is None and r.election.may_take_in(self.clock(r)) == 0]

    def holders(self) -> list[Replica]:
        """Replicas that could release."""
        return [r for r in self.replicas if r.claim is None and self.record.holder == r.election.identity]

    @precondition(lambda self: self.able())
    @rule(who=st.integers(0, 1), fate=st.sampled_from(["answered", "unanswered", "under way"]), wall=st.integers(-5, 5))
    def claim(self, who: int, fate: str, wall: int) -> None:
        able = self.able()
        replica = able[who % len(able)]
        record = replica.election.claim(NOON + timedelta(seconds=wall))
        claim = replica.claim = Claim(record, replica.known, self.clock(replica))
        if fate != "under way":
            self.take_effect(claim)
        if fate == "answered":
            self.answer(replica, claim)

    @precondition(lambda self: any(replica.claim for replica in self.replicas))
    @rule()
    def everything_arrives(self) -> None:
        for replica in self.replicas:
            if replica.claim is not None:
                if not replica.claim.arrived:
                    self.take_effect(replica.claim)
                self.answer(replica, replica.claim)

    @precondition(lambda self: any(replica.claim for replica in self.replicas))
    @rule()
    def time_outs_strike(self) -> None:
        """Replicas stop waiting; their requests may still take effect later."""
        for replica in self.replicas:
            if replica.claim is not None and not replica.claim.arrived:
                self.abandoned.append(replica.claim)
            replica.claim = None

    @precondition(lambda self: self.abandoned)
    @rule()
    def an_abandoned_request_takes_effect(self) -> None:
        self.take_effect(self.abandoned.pop())

    @precondition(lambda self: self.holders())
    @rule(fate=st.sampled_from(["answered", "under way"]))
    def release(self, fate: str) -> None:
        [replica] = self.holders()
        record = replica.election.resign()
        if record is not None:
            claim = Claim(record, replica.known, self.clock(replica))
            if fate == "answered":
                self.take_effect(claim)
            else:
                self.abandoned.append(claim)

    @invariant()
    def at_most_one_leads(self) -> None:
        leaders = [
            replica.election.identity for replica in self.replicas if replica.election.leads(self.clock(replica))
        ]
        assert len(leaders) <= 1, f"{leaders} lead together at {self.time}"


NeverTwoLeaders.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestNeverTwoLeaders = NeverTwoLeaders.TestCase


# --- the real loop, in virtual time, on a Lease that lives in memory


class ClientDouble(ApiClient):
    """The three requests that a leader makes, with delays and losses drawn by the test."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def find(self, *_: Any, **_options: Any) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await self.server.exchange(lambda: self.server.lease)
        return found

    async def create(self, resource: Resource, body: Any, **_: Any) -> dict[str, Any]:
        made: dict[str, Any] = await self.server.exchange(lambda: self.server.created(resource, body))
        return made

    async def replace(self, resource: Resource, body: Any, **_: Any) -> dict[str, Any]:
        made: dict[str, Any] = await self.server.exchange(lambda: self.server.replaced(resource, body))
        return made


@dataclass
class Server:
    """One Lease. `faults()` gives for each request: seconds until it takes effect, until the answer, and its fate."""

    faults: Callable[[], tuple[float, float, str]] = lambda: (0.01, 0.01, "")
    lease: dict[str, Any] | None = None
    version: int = 0
    writes: list[tuple[float, str]] = field(default_factory=list)
    _late: set[asyncio.Task[Any]] = field(default_factory=set)

    async def exchange(self, effect: Callable[[], Any]) -> Any:
        before, after, fate = self.faults()
        if fate == "refused":
            raise Unreachable("refused")
        # A task of its own: a client that gives up does not take its request back.
        work = asyncio.ensure_future(self._serve(before, effect, drop=fate == "lost"))
        self._late.add(work)
        work.add_done_callback(self._late.discard)
        answer = await asyncio.shield(work)
        await asyncio.sleep(after)
        if fate == "unanswered":
            await asyncio.sleep(1000)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    async def _serve(self, before: float, effect: Callable[[], Any], *, drop: bool) -> Any:
        await asyncio.sleep(1000 if drop else before)
        try:
            return None if drop else effect()
        except ApiError as error:
            return error

    def created(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        assert resource is LEASES
        if self.lease is not None:
            raise AlreadyExists("exists")
        return self._store(body)

    def replaced(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        assert resource is LEASES
        if self.lease is None:
            raise NotFound("gone")
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict("other version")
        return self._store(body)

    def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        self.writes.append((now() - 1000, body["spec"]["holderIdentity"]))
        return self.lease


def candidate(server: Server, identity: str, *, rate: float = 1.0, offset: float = 0.0, **options: Any) -> Leader:
    return Leader(
        ClientDouble(server),
        LEASE,
        identity=identity,
        clock=lambda: offset + rate * now(),
        wall=options.pop("wall", lambda: NOON + timedelta(seconds=now())),
        **options,
    )


async def stopped(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_the_first_candidate_leads_at_once_and_goes_on_leading() -> None:
    told: list[bool] = []

    async def main() -> None:
        leader = candidate(Server(), "a", on_change=told.append)
        await leader.acquire()
        assert now() - 1000 < 0.1
        holding = asyncio.create_task(leader.hold())
        for _ in range(600):
            await asyncio.sleep(0.5)
            leader.check()
        assert leader.silent_seconds <= 1.5
        await stopped(holding)

    run(main())
    assert told == [True]


def test_a_standby_takes_over_within_a_second_of_a_release() -> None:
    async def main() -> None:
        server = Server()
        first, second = candidate(server, "a"), candidate(server, "b")
        await first.acquire()
        holding, waiting = asyncio.create_task(first.hold()), asyncio.create_task(second.acquire())
        await asyncio.sleep(60)
        assert (first.held, second.held) == (True, False)
        await stopped(holding)
        assert await first.release()
        assert not first.held
        released = now()
        await waiting
        assert now() - released <= 1.1
        assert server.lease is not None
        assert server.lease["spec"]["leaseTransitions"] == 2

    run(main())


def test_a_standby_takes_over_from_a_dead_leader_after_the_lease_and_one_retry() -> None:
    async def main() -> None:
        server = Server()
        first, second = (
            candidate(server, "a"),
            candidate(server, "b", offset=-5e6, wall=lambda: NOON - timedelta(days=400)),
        )
        await first.acquire()
        holding, waiting = asyncio.create_task(first.hold()), asyncio.create_task(second.acquire())
        await asyncio.sleep(60)
        await stopped(holding)
        died = now()
        await waiting
        assert 8.0 - 1.0 <= now() - died <= 9.1

    run(main())


def test_a_leader_that_cannot_renew_stops_before_anybody_else_may_lead() -> None:
    async def main() -> None:
        down: list[str] = []
        server = Server(faults=lambda: (0.01, 0.01, "refused" if down else ""))
        leader = candidate(server, "a")
        await leader.acquire()
        holding = asyncio.create_task(leader.hold())
        await asyncio.sleep(30)
        down.append("now")
        began = now()
        with pytest.raises(LeadershipLost, match="renewed in time"):
            await holding
        assert 4.0 <= now() - began <= 5.1
        with pytest.raises(NotLeader):
            leader.check()

    run(main())


def test_a_leader_survives_two_lost_requests() -> None:
    async def main() -> None:
        fates = iter(["", "", "", "lost", "unanswered", *[""] * 100])
        leader = candidate(Server(faults=lambda: (0.01, 0.01, next(fates))), "a")
        await leader.acquire()
        holding = asyncio.create_task(leader.hold())
        for _ in range(200):
            await asyncio.sleep(0.1)
            leader.check()
        await stopped(holding)

    run(main())


def test_a_leader_whose_lease_was_taken_stops_at_its_next_renewal() -> None:
    async def main() -> None:
        server = Server()
        leader = candidate(server, "a")
        await leader.acquire()
        holding = asyncio.create_task(leader.hold())
        assert server.lease is not None
        server._store({**server.lease, "spec": Record("thief", 8.0, NOON, NOON, 9).wire()})  # noqa: SLF001 - a person with kubectl
        with pytest.raises(LeadershipLost, match="another replica"):
            await holding
        assert now() - 1000 < 1.2

    run(main())


def test_a_deleted_lease_is_made_again_by_its_holder_and_not_taken_by_a_standby() -> None:
    async def main() -> None:
        server = Server()
        first, second = candidate(server, "a"), candidate(server, "b")
        await first.acquire()
        holding, waiting = asyncio.create_task(first.hold()), asyncio.create_task(second.acquire())
        await asyncio.sleep(5)
        server.lease = None
        await asyncio.sleep(20)
        assert (first.held, second.held) == (True, False)
        await stopped(holding, waiting)

    run(main())


def test_a_restarted_container_takes_its_own_lease_back_at_once() -> None:
    async def main() -> None:
        server = Server()
        first = candidate(server, "pod-uid")
        await first.acquire()
        again = candidate(server, "pod-uid")
        await again.acquire()
        assert now() - 1000 < 0.2

    run(main())


def test_a_release_survives_a_renewal_that_was_cancelled_on_its_way() -> None:
    async def main() -> None:
        slow: list[float] = []
        server = Server(faults=lambda: (slow.pop() if slow else 0.01, 0.01, ""))
        leader = candidate(server, "a")
        await leader.acquire()
        holding = asyncio.create_task(leader.hold())
        slow.append(0.3)
        await asyncio.sleep(1.1)
        await stopped(holding)
        await asyncio.sleep(0.3)
        assert await leader.release()
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"] == ""

    run(main())


def test_a_standby_does_not_hammer_a_server_that_is_down() -> None:
    async def main() -> None:
        asked: list[float] = []

        def refuse() -> tuple[float, float, str]:
            asked.append(now())
            return 0.0, 0.0, "refused"

        waiting = asyncio.create_task(candidate(Server(faults=refuse), "a").acquire())
        await asyncio.sleep(100)
        await stopped(waiting)
        assert 95 <= len(asked) <= 130

    run(main())


def test_who_does_not_lead_has_nothing_to_release() -> None:
    async def main() -> None:
        server = Server()
        assert not await candidate(server, "a").release()
        assert server.writes == []

    run(main())


async def live(leader: Leader, chance: random.Random, server: Server) -> None:
    """A replica's life: stand by, lead for a while, then step down, crash, or lose the lease; again and again."""
    while True:
        await leader.acquire()
        holding = asyncio.create_task(leader.hold())
        try:
            async with asyncio.timeout(chance.uniform(0.1, 30)):
                await holding
        except (LeadershipLost, TimeoutError):
            await stopped(holding) if not holding.done() else None
        if chance.random() < 0.5:
            await leader.release()
        await asyncio.sleep(chance.uniform(0, 3))


@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.6),
    slowest=st.floats(0.01, 12),
    rates=st.lists(st.floats(0.8, 1.25), min_size=3, max_size=3),
)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_however_bad_the_network_the_real_loops_never_lead_together(
    seed: int, loss: float, slowest: float, rates: list[float]
) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def faults() -> tuple[float, float, str]:
        fate = chance.choice(["refused", "lost", "unanswered"]) if chance.random() < loss else ""
        return chance.uniform(0, slowest), chance.uniform(0, slowest), fate

    async def main() -> None:
        server = Server(faults=faults)
        leaders = [
            candidate(server, f"r{number}", rate=rate, offset=chance.uniform(-1e6, 1e6))
            for number, rate in enumerate(rates)
        ]
        lives = [asyncio.create_task(live(leader, chance, server)) for leader in leaders]
        for _ in range(1200):
            await asyncio.sleep(0.1)
            held = [number for number, leader in enumerate(leaders) if leader.held]
            assert len(held) <= 1, f"{held} lead together at {now()}"
        assert not any(task.done() for task in lives), [task.exception() for task in lives if task.done()]
        await stopped(*lives)
        await stopped(*server._late) if server._late else None  # noqa: SLF001 - requests that never came back

    run(main())


# --- over HTTP


@asynccontextmanager
async def leading(timing: Timing) -> AsyncIterator[tuple[StubApi, Callable[[str], Leader]]]:
    async with connected() as (stub, connection):
        api = ApiClient(connection, manager="test")
        yield stub, lambda identity: Leader(api, LEASE, identity=identity, timing=timing)


async def within(seconds: float, work: Coroutine[Any, Any, Any]) -> Any:
    async with asyncio.timeout(seconds):
        return await work


async def test_the_lease_goes_from_hand_to_hand_over_http() -> None:
    async with leading(Timing(retry=0.1)) as (stub, make):
        first, second = make("a"), make("b")
        await within(5, first.acquire())
        holding, waiting = asyncio.create_task(first.hold()), asyncio.create_task(second.acquire())
        await asyncio.sleep(0.35)
        assert (first.held, second.held) == (True, False)
        await stopped(holding)
        assert await first.release()
        await within(5, waiting)  # type: ignore[arg-type]
        [lease] = stub.objects.values()
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("b", 2)


async def test_a_server_that_hangs_costs_the_leadership_in_time() -> None:
    async with leading(Timing(lease_duration=2.0, renew_deadline=1.0, retry=0.1, request=0.5)) as (stub, make):
        leader = make("a")
        await within(5, leader.acquire())

        async def hang(_request: web.Request) -> web.StreamResponse | None:
            await asyncio.sleep(30)
            return None

        stub.fault = hang
        began = asyncio.get_running_loop().time()
        with pytest.raises(LeadershipLost):
            await within(5, leader.hold())
        assert asyncio.get_running_loop().time() - began < 2.0
        assert not leader.held
