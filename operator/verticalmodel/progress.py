"""Roll-ups of work, not of clauses: Accepted, Progressing, Exposed, FailoverArmed, UpdatePending. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from verticalmodel.api import conditions
from verticalmodel.facts import Node, ObservedPod
from verticalmodel.judge.verdict import Rollup
from verticalmodel.node_fit import lacks
from verticalmodel.plan import Plan
from verticalmodel.refusals import Refusal
from verticalmodel.serving_certificate import Issued


def accepted(planned: Plan | Refusal) -> Rollup:
    """Whether the spec can be planned."""
    if isinstance(planned, Refusal):
        return Rollup(conditions.ACCEPTED, "False", planned.reason.value, planned.message)
    return Rollup(conditions.ACCEPTED, "True", "Planned", "")


def progressing(plan: Plan, digest: str, pods: Sequence[ObservedPod], nodes: Sequence[Node], now: datetime) -> Rollup:
    """Whether pods still come, go or start.

    True/Unschedulable where a pod has no node, with what each node lacks; False/StartOverBudget where one takes longer
    than its start budget.
    """
    alive = [pod for pod in pods if pod.serving]
    homeless = [pod for pod in alive if pod.unscheduled]
    if homeless:
        earlier = [pod for pod in alive if pod.node and pod.template_digest != digest]
        words = f"{_homeless(plan, homeless, nodes)}{_in_the_way(plan, earlier)}"
        return Rollup(conditions.PROGRESSING, "True", "Unschedulable", words)
    late = [pod.name for pod in alive if not pod.ready and overruns_at(plan, pod) <= now]
    if late:
        return Rollup(
            conditions.PROGRESSING,
            "False",
            "StartOverBudget",
            f"not ready within {plan.start_budget_seconds} s of creation (spec.startup.budgetSeconds, else the "
            f"standard's limit): {', '.join(late)}; Ready says what holds them back",
        )
    current = [pod for pod in alive if pod.template_digest == digest]
    ready = sum(pod.ready for pod in current)
    if len(current) != len(alive) or len(alive) != plan.replicas or ready != plan.replicas:
        message = f"{ready} of {plan.replicas} pods of the current template are ready"
        return Rollup(conditions.PROGRESSING, "True", "RollingOut", message)
    return Rollup(conditions.PROGRESSING, "False", "Complete", "")


def _homeless(plan: Plan, pods: Sequence[ObservedPod], nodes: Sequence[Node]) -> str:
    words = f"no node for {', '.join(pod.name for pod in pods)}: {pods[0].unscheduled.rstrip('.')}"
    return f"{words}. GPUs by node: {lacks(plan.gpus, nodes)}" if plan.gpus is not None and nodes else words


def _in_the_way(plan: Plan, earlier: Sequence[ObservedPod]) -> str:
    """The room that a rollout with surge keeps for what it replaces."""
    if not (plan.surge and earlier):
        return ""
    names = ", ".join(pod.name for pod in earlier)
    return (
        f". Pods of the earlier version keep their room until then ({names}); spec.rollout.surge: false stops one first"
    )


def overruns_at(plan: Plan, pod: ObservedPod) -> datetime:
    """When a pod that is still not ready has used up its start budget, counted from its creation."""
    if pod.created_at is None:
        return datetime.max.replace(tzinfo=UTC)
    return pod.created_at + timedelta(seconds=plan.start_budget_seconds)


def until_issued(told: Sequence[Rollup], plan: Plan, said: Issued | None) -> tuple[Rollup, ...]:
    """The roll-ups, with Progressing=True/CertificateNotIssued while cert-manager has not issued what is asked for."""
    if plan.issuer is None or said is None or said.ready:
        return tuple(told)
    held = Rollup(
        conditions.PROGRESSING,
        "True",
        "CertificateNotIssued",
        f"spec.certificate.issuerRef: {plan.issuer.kind} {plan.issuer.name!r} has not issued the serving certificate, "
        f"and pods start only once there is one: {said.message}",
    )
    return tuple(held if one.type == held.type else one for one in told)


def waiting(message: str) -> tuple[Rollup, Rollup]:
    """Progressing and UpdatePending while something of the cluster has to move first."""
    return (
        Rollup(conditions.PROGRESSING, "True", "Waiting", message),
        Rollup(conditions.UPDATE_PENDING, "Unknown", "Waiting", message),
    )


def child_refused(message: str) -> tuple[Rollup, Rollup]:
    """Progressing and UpdatePending while the API server refuses a child; what runs keeps running."""
    text = f"the API server refuses a child, and it is tried again: {message}"
    return (
        Rollup(conditions.PROGRESSING, "False", "ChildRefused", text),
        Rollup(conditions.UPDATE_PENDING, "Unknown", "ChildRefused", "see Progressing"),
    )


def api_failed(message: str) -> tuple[Rollup, Rollup]:
    """Progressing and UpdatePending while the API server does not do what is asked; it is tried again."""
    return (
        Rollup(conditions.PROGRESSING, "Unknown", "ApiFailed", f"tried again with back-off: {message}"),
        Rollup(conditions.UPDATE_PENDING, "Unknown", "ApiFailed", "see Progressing"),
    )


def deleting() -> tuple[Rollup, Rollup]:
    """Progressing and UpdatePending of a model that is on its way out and held by somebody's finalizer."""
    message = "the model is being deleted: nothing is changed or repaired any more; see metadata.finalizers"
    return (
        Rollup(conditions.PROGRESSING, "False", "Deleting", message),
        Rollup(conditions.UPDATE_PENDING, "Unknown", "Deleting", message),
    )


def refused() -> tuple[Rollup, Rollup]:
    """Progressing and UpdatePending while the spec cannot be planned: nothing is changed, nothing is compared."""
    message = "nothing is changed until the spec can be planned; see Accepted"
    return (
        Rollup(conditions.PROGRESSING, "False", "NotAccepted", message),
        Rollup(conditions.UPDATE_PENDING, "Unknown", "NotAccepted", message),
    )


def exposed(url: str, *, routed: bool) -> Rollup:
    """Whether clients outside the cluster can reach the model; never True without a look through the route."""
    if routed:
        return Rollup(
            conditions.EXPOSED, "Unknown", "NotMeasured", f"a route to {url} stands; nobody has looked through it"
        )
    return Rollup(conditions.EXPOSED, "False", "ClusterInternal", f"reachable inside the cluster only: {url}")


def failover_armed(pods: Sequence[ObservedPod]) -> Rollup:
    """Whether a standby is ready; never True without a drill."""
    nodes = {pod.node for pod in pods if pod.serving and pod.ready}
    if len(nodes) < 2:
        message = (
            "ready pods on fewer than two nodes; spec.replicas of 2 or more and a second node with room are needed, "
            "and a source that both nodes can read: a ReadWriteOnce claim keeps all pods on one"
        )
        return Rollup(conditions.FAILOVER_ARMED, "False", "NoStandby", message)
    return Rollup(
        conditions.FAILOVER_ARMED,
        "Unknown",
        "NotMeasured",
        "pods are ready on two nodes; no drill has shown the switch",
    )


def update_pending(*, pending: bool) -> Rollup:
    """Whether the pods would be made of something newer than what is pinned."""
    if pending:
        return Rollup(
            conditions.UPDATE_PENDING,
            "True",
            "NewerTemplate",
            "the operator, the runtime or the nodes offer a newer pod template; a new value of spec.update takes it",
        )
    return Rollup(conditions.UPDATE_PENDING, "False", "UpToDate", "")
