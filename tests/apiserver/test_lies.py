"""Lies that the operator must see through, told to a real API server: none may leave a clause True.

Each begins with a model whose clause is True (fixture `stage`), so what is no longer True afterwards was caught. Who
may write which object at all is told by tests/apiserver/policies; here the policies are taken for broken already. What
only a cluster can show (plain text, limits that do not bite, TLS 1.2 of a real server) is in tests/e2e/test_prober.py
and tests/unit/test_probe_judged.py. `--lie-table FILE` writes down what each lie came to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apiserver.stage import Stage, running, stage
from apiserver.world import kinds, namespace, until, world
from lie_table import Lies
from unit.builders import Draft
from verticalmodel.api import names
from verticalmodel.api.evidence import Evidence, Subject
from verticalmodel.api.verticalmodel import VerticalModel
from verticalmodel.cli.status_report import report
from verticalmodel.kube import resources
from verticalmodel.kube.errors import ApiError
from verticalmodel.kube.resources import Key

__all__ = ["kinds", "namespace", "stage", "world"]  # fixtures

pytestmark = pytest.mark.apiserver

TRANSPORT, SYSTEM, TENANTS = "transport-encrypted", "operating-system-supported", "tenants-isolated"
ISOLATION = "scenarios-isolated"
BAD = {"value": 1.2, "observations": {"tls1.2": "accepted TLS 1.2 AES128-SHA256"}}
Lie = Callable[[Stage], Awaitable[None]]


def changed(looks: list[Draft], measure: str, observations: dict[str, str] | None = None, **fields: Any) -> list[Draft]:
    """The looks, with those of one measure changed."""
    return [_with(one, observations or {}, fields) if one["measure"] == measure else one for one in looks]


def _with(one: Draft, observations: dict[str, str], fields: dict[str, Any]) -> Draft:
    seen = {each["name"]: each["value"] for each in one["observations"]} | observations
    return {**one, **fields, "observations": [{"name": name, "value": value} for name, value in sorted(seen.items())]}


def broken(looks: list[Draft]) -> list[Draft]:
    """The truth of a model whose endpoints still speak TLS 1.2."""
    return changed(looks, TRANSPORT, **BAD)


def entries(change: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Callable[[Evidence], Evidence]:
    """Somebody's change to the entries of a chained object."""
    return lambda found: found.model_copy(
        update={"spec": found.spec.model_copy(update={"entries": change(found.spec.entries)})}
    )


async def forged_by_a_tenant(stage: Stage) -> None:
    """The prober says what is; a second object, in the prober's name, says better."""
    await stage.record(broken(await stage.looks()))
    await stage.record(await stage.looks(), name="better")


async def forged_in_anothers_name(stage: Stage) -> None:
    await stage.record(broken(await stage.looks()))
    await stage.record(await stage.looks(), measurer="verticalmodel-tester")


async def forged_in_the_operators_name(stage: Stage) -> None:
    await stage.record(broken(await stage.looks()))
    await stage.record(await stage.looks(), measurer=names.MANAGER_CHILDREN)


async def nobody_measured_but_the_operator(stage: Stage) -> None:
    await stage.forget()
    await stage.record(await stage.looks(), measurer=names.MANAGER_CHILDREN)


async def value_improved(stage: Stage) -> None:
    def better(found: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(one.model_copy(update={"value": 1.3}) for one in found)

    await stage.record(broken(await stage.looks()), forge=entries(better))


async def number_without_its_facts(stage: Stage) -> None:
    """A whole new chain, whose numbers contradict what was observed."""
    await stage.record(changed(await stage.looks(), TRANSPORT, observations=BAD["observations"]))


async def entries_swapped(stage: Stage) -> None:
    def swapped(found: tuple[Any, ...]) -> tuple[Any, ...]:
        first, second, *others = found
        return (
            first.model_copy(update={"sequence": second.sequence}),
            second.model_copy(update={"sequence": first.sequence}),
            *others,
        )

    await stage.record(await stage.looks(), forge=entries(swapped))


async def entry_removed(stage: Stage) -> None:
    """The one look at the Service, which was bad, is taken out."""

    def without(found: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(one for one in found if not one.instance.startswith("service/"))

    await stage.record(await stage.looks(), forge=entries(without))


async def of_a_namesake(stage: Stage) -> None:
    """Evidence of a model of this name that was deleted."""
    await stage.forget()
    await stage.record(await stage.looks(), subject=Subject(name="m", uid="uid-of-a-namesake"))


async def old_chain_replayed(stage: Stage) -> None:
    """What was true ten minutes ago is written again, word for word."""
    then = datetime.now(UTC) - timedelta(seconds=601)
    stamps = {"measuredAt": then.isoformat(), "expiresAt": (then + timedelta(seconds=600)).isoformat()}
    await stage.record([{**one, **stamps} for one in await stage.looks()])


async def old_chain_with_a_long_life(stage: Stage) -> None:
    """The same, and it claims to hold for a year: the standard says how long."""
    then = datetime.now(UTC) - timedelta(seconds=601)
    stamps = {"measuredAt": then.isoformat(), "expiresAt": (then + timedelta(days=365)).isoformat()}
    await stage.record([{**one, **stamps} for one in await stage.looks()])


async def measurers_clock_ahead(stage: Stage) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=1)
    stamps = {"measuredAt": ahead.isoformat(), "expiresAt": (ahead + timedelta(seconds=600)).isoformat()}
    await stage.record([{**one, **stamps} for one in await stage.looks()])


async def operators_clock_behind(stage: Stage) -> None:
    stage.shift = -timedelta(hours=1)


async def measurer_died(stage: Stage) -> None:
    """Nobody looked for longer than evidence holds."""
    stage.shift = timedelta(seconds=601)


async def simulated_devices(stage: Stage) -> None:
    await stage.record(changed(await stage.looks(), TRANSPORT, simulated=True))


async def inconclusive_called_good(stage: Stage) -> None:
    await stage.record(changed(await stage.looks(), TRANSPORT, outcome="Inconclusive"))


async def control_failed(stage: Stage) -> None:
    """Nothing answered the prober at all: its refusals show nothing."""
    dead = dict.fromkeys(("tls1.3", "control.before", "control.after"), "inconclusive timeout")
    await stage.record(changed(await stage.looks(), TRANSPORT, observations=dead))


async def another_node(stage: Stage) -> None:
    await stage.record(changed(await stage.looks(), SYSTEM, observations={"node": "another"}))


async def no_container_named(stage: Stage) -> None:
    """A look that does not say which server it was at could be one at any."""
    await stage.record(changed(await stage.looks(), TENANTS, observations={"container": ""}))


async def stranger_cut_off(stage: Stage) -> None:
    """The stranger could reach nobody at all: that it was refused shows nothing."""
    alone = dict.fromkeys(("control.before", "control.after"), "timeout")
    await stage.record(changed(await stage.looks(), ISOLATION, observations=alone))


async def stranger_at_home(stage: Stage) -> None:
    """The one that should have stood on another node stood on the pod's own."""
    node = stage.pods()[0].node
    await stage.record(changed(await stage.looks(), ISOLATION, observations={"from": node}))


async def stranger_got_through(stage: Stage) -> None:
    """A second Service leads to a port that nobody should reach; the number says that nothing happened."""
    await stage.record(changed(await stage.looks(), ISOLATION, observations={"net.8080": "connected"}))


async def pods_replaced(stage: Stage) -> None:
    await stage.replace_pods()


async def scaled_up(stage: Stage) -> None:
    await stage.scale(2)


async def one_replica_left_out(stage: Stage) -> None:
    """Two pods run; the one that is bad is not spoken of."""
    await stage.scale(2)
    left_out = stage.pods()[1].name
    await stage.record([one for one in await stage.looks() if f"pod/{left_out}" not in one["instance"]])


async def one_replica_speaks_tls_1_2(stage: Stage) -> None:
    await stage.scale(2)
    looks = await stage.looks()
    first = f"pod/{stage.pods()[0].name}:"
    await stage.record(
        [_with(one, BAD["observations"], {"value": 1.2}) if one["instance"].startswith(first) else one for one in looks]
    )


async def server_swapped(stage: Stage) -> None:
    """Another container answers in the place of the one that was measured: a stub, say."""
    named = {"container": _server(stage)[:12]}
    await stage.record(changed(await stage.looks(), TENANTS, observations=named))
    pod = Key(stage.key.namespace, stage.pods()[0].name)
    before = _server(stage)
    await stage.report(pod, containerStatuses=[{**running(names.CONTAINER_SERVER), "restartCount": 1}])
    await until(lambda: _server(stage) != before)


def _server(stage: Stage) -> str:
    return next(one.container_id for one in stage.pods()[0].containers if one.name == names.CONTAINER_SERVER)


async def container_added_by_hand(stage: Stage) -> None:
    """A debug container without limits: `kubectl debug` puts it into the live pod."""
    pod = Key(stage.key.namespace, stage.pods()[0].name)
    spy = {"name": "spy", "image": "spy:1"}
    await stage.world.user.patch_merge(
        resources.PODS, pod, {"spec": {"ephemeralContainers": [spy]}}, subresource="ephemeralcontainers"
    )
    await stage.report(pod, ephemeralContainerStatuses=[running("spy")])
    await until(lambda: any(one.name == "spy" and one.running for one in stage.pods()[0].containers))


async def pod_of_a_stranger(stage: Stage) -> None:
    """Somebody's own pod under the model's labels, behind its Service, that nobody has measured."""
    deployment = (await stage.world.children("Deployment"))[0]
    stranger = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "stranger",
            "namespace": stage.key.namespace,
            "labels": deployment["spec"]["template"]["metadata"]["labels"],
        },
        "spec": {"containers": [{"name": "server", "image": "stub:1"}]},
    }
    made = await stage.world.user.create(resources.PODS, stranger)
    await stage.runs({**made, "spec": {**made["spec"], "initContainers": []}})
    await until(lambda: any(one.name == "stranger" and one.ready for one in stage.pods()))


async def status_written_by_hand(stage: Stage) -> None:
    """The truth is bad; somebody writes True into the status, as if it had been judged."""
    await stage.record(broken(await stage.looks()))
    model = await stage.world.user.get(resources.VERTICAL_MODELS, stage.key)
    conditions = [{**one, "status": "True", "reason": "Measured"} for one in model["status"]["conditions"]]
    await stage.world.user.patch_merge(
        resources.VERTICAL_MODELS, stage.key, {"status": {"conditions": conditions}}, subresource="status"
    )


ABOUT_EVIDENCE: dict[str, tuple[int, str, Lie]] = {
    "a second Evidence object in the prober's name says better": (13, "False", forged_by_a_tenant),
    "evidence in another measurer's name": (13, "False", forged_in_anothers_name),
    "evidence in the operator's name beside the prober's": (13, "False", forged_in_the_operators_name),
    "evidence in the operator's name alone": (13, "Unknown", nobody_measured_but_the_operator),
    "the value of an entry improved": (13, "Unknown", value_improved),
    "a number that its own facts contradict": (13, "Unknown", number_without_its_facts),
    "entries reordered": (13, "Unknown", entries_swapped),
    "an entry removed": (13, "Unknown", entry_removed),
    "evidence of a deleted model of the same name": (13, "Unknown", of_a_namesake),
    "an old chain replayed": (13, "Unknown", old_chain_replayed),
    "an old chain that claims to hold for a year": (13, "Unknown", old_chain_with_a_long_life),
    "the measurer's clock an hour ahead": (13, "Unknown", measurers_clock_ahead),
    "the operator's clock an hour behind": (13, "Unknown", operators_clock_behind),
    "the measurer died": (13, "Unknown", measurer_died),
    "simulated hardware under the real edition": (13, "Unknown", simulated_devices),
    "an inconclusive look with a good number": (13, "Unknown", inconclusive_called_good),
    "refusals without a positive control": (13, "Unknown", control_failed),
    "evidence of another node": (5, "Unknown", another_node),
    "a look that names no container": (31, "Unknown", no_container_named),
    "the stranger's own network was broken": (34, "Unknown", stranger_cut_off),
    "the stranger from another node stood on the pod's own": (34, "Unknown", stranger_at_home),
    "a stranger got through and the number says none": (34, "Unknown", stranger_got_through),
    "True written into the status by hand": (13, "False", status_written_by_hand),
}
ABOUT_PODS: dict[str, tuple[int, str, Lie]] = {
    "the pods were replaced after the measurement": (13, "Unknown", pods_replaced),
    "scaled up after the measurement": (13, "Unknown", scaled_up),
    "one replica was measured and the other was not": (30, "Unknown", one_replica_left_out),
    "TLS 1.2 in one replica of two": (13, "False", one_replica_speaks_tls_1_2),
    "another container answers in the place of the measured one": (31, "Unknown", server_swapped),
    "a container added by hand": (30, "Unknown", container_added_by_hand),
    "a stranger's pod behind the Service": (13, "Unknown", pod_of_a_stranger),
}


async def ends_well(stage: Stage, lies: Lies, lie: str, told: tuple[int, str, Lie]) -> None:
    """Tell the lie; the clause is not True, but what it ought to be."""
    number, status, tell = told
    await tell(stage)
    found = (await stage.clauses())[number]
    lies.told(lie, number, found)
    assert found["status"] == status, found["message"]


async def test_lies_in_evidence_and_of_clocks_leave_nothing_true(
    stage: Stage, lies: Lies, subtests: pytest.Subtests
) -> None:
    for lie, told in ABOUT_EVIDENCE.items():
        with subtests.test(lie):
            await stage.be_honest()
            await ends_well(stage, lies, lie, told)


@pytest.mark.parametrize("lie", ABOUT_PODS)
async def test_what_changes_after_the_measurement_is_not_true_by_it(stage: Stage, lies: Lies, lie: str) -> None:
    await ends_well(stage, lies, lie, ABOUT_PODS[lie])


async def test_nobody_reads_a_true_of_an_operator_that_has_stopped(stage: Stage, lies: Lies) -> None:
    model = VerticalModel.model_validate(await stage.world.user.get(resources.VERTICAL_MODELS, stage.key))
    valid_until = model.status.valid_until
    assert valid_until is not None
    for moment, expected in ((valid_until - timedelta(seconds=1), "True"), (valid_until, "Unknown")):
        told = report(model, stage.world.caches.standards.get(Key("", names.DEFAULT_STANDARD)), moment)
        [line] = [one for one in told.clauses if one.id == 13]
        assert line.verdict == expected
    lies.told("the operator stopped", 13, {"status": line.verdict, "reason": line.reason, "message": line.message})


@pytest.mark.parametrize(
    "claim",
    [
        {"waivers": [{"clause": 13, "reason": "we trust our network"}]},
        {"clauses": [{"id": 1, "status": "NotApplicable"}]},
    ],
    ids=["a waiver", "NotApplicable"],
)
async def test_a_spec_has_no_place_for_what_a_model_says_of_itself(stage: Stage, claim: dict[str, Any]) -> None:
    body = await stage.world.user.get(resources.VERTICAL_MODELS, stage.key)
    with pytest.raises(ApiError, match=f'unknown field "spec.{next(iter(claim))}"'):
        await stage.world.user.create(
            resources.VERTICAL_MODELS,
            {
                **body,
                "metadata": {"namespace": stage.key.namespace, "name": "other"},
                "spec": {**body["spec"], **claim},
            },
        )


async def test_a_model_without_a_gpu_is_not_excused_from_the_clause_of_gpus(stage: Stage) -> None:
    assert (await stage.clauses())[1]["status"] == "Unknown"
