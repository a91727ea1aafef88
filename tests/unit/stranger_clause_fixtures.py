"""What must pass, fail and stay unknown for clause 34, by what strangers near and far of a pod came back with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from unit.builders import ISOLATION, World
from unit.fixture_changes import Change, Fixtures, at, passing_for, unknown_for
from verticalmodel.api.conditions import ClauseReason


def _near(world: World) -> str:
    return f"pod/{world.pods[0].name}/near"


def _far(world: World) -> str:
    return f"pod/{world.pods[0].name}/far"


def _tells(place: Callable[[World], str] = _near, *, value: float = 0.0, **seen: str | None) -> Change:
    """What a stranger tells of the first pod; keywords change observations (`net_8443`), None leaves one out."""
    told = {name.replace("_", "."): said for name, said in seen.items()}
    return at(ISOLATION, place, seen=told, value=value)


def _unknown(place: Callable[[World], str] = _near, **seen: str | None) -> tuple[ClauseReason, Change]:
    return ClauseReason.NOT_MEASURED, _tells(place, value=0.0, **seen)


STRANGER_FIXTURES = Fixtures(
    passing={
        **passing_for(ISOLATION),
        "connections time out": _tells(net_8443="timeout", net_8444="timeout", net_service="timeout"),
        "the network says that there is no way": _tells(net_8443="unreachable EHOSTUNREACH"),
        "the model has no Service": _tells(net_service="there is none"),
        "a declared port is refused": _tells(net_9000="refused"),
        "the stranger's account is not known to the authorizer": _tells(api_secrets="refused 401"),
        "the controls are exactly five seconds apart": _tells(control_gapSeconds="5"),
        "the stranger afar stands on another node than before": _tells(_far, **{"from": "node-77"}),
    },
    failing={
        "the guard lets a stranger near by connect": _tells(value=1, net_8443="connected"),
        "the guard lets a stranger afar connect": _tells(_far, value=1, net_8443="connected"),
        "the Service lets a stranger connect": _tells(value=1, net_service="connected"),
        "a declared port lets a stranger connect": _tells(value=1, net_9000="connected"),
        "the API shows a stranger the Secrets": _tells(value=1, api_secrets="answered 200"),
        "the API finds no such log for a stranger": _tells(value=1, api_log="answered 404"),
        "a stranger gets at everything though the controls failed": _tells(
            value=3,
            net_8443="connected",
            net_8444="connected",
            api_persistentvolumeclaims="answered 200",
            control_after="timeout",
        ),
        "one got through and the others did not report": lambda world: replace(
            _tells(value=1, net_8443="connected")(world),
            drafts=tuple(
                one
                for one in _tells(value=1, net_8443="connected")(world).drafts
                if one["measure"] == ISOLATION and one["instance"] == _near(world)
            ),
        ),
    },
    unknown={
        **unknown_for(ISOLATION, _near, 3600),
        "no stranger afar has tried": (ClauseReason.NOT_MEASURED, lambda world: world.without(ISOLATION, _far(world))),
        "the stranger's network is broken": _unknown(control_before="timeout", control_after="timeout"),
        "the stranger's network broke in between": _unknown(control_after="refused"),
        "nobody could connect to the pod": _unknown(target_before="refused", target_after="refused"),
        "the API server did not know the stranger": _unknown(control_identity="refused 401"),
        "nobody knows who the stranger was": _unknown(control_identity=None),
        "the controls lie too far apart": _unknown(control_gapSeconds="5.001"),
        "how far the controls lie apart is no number": _unknown(control_gapSeconds="nan"),
        "the guard was not tried": _unknown(net_8443=None),
        "the Secrets were not tried": _unknown(api_secrets=None),
        "ports were left out": _unknown(portsLeftOut="3"),
        "a connection failed for another reason": _unknown(net_8443="unreachable EMFILE"),
        "the API server was out of order": _unknown(api_log="inconclusive 503"),
        "the stranger near by stood afar": _unknown(**{"from": "node-77"}),
        "the stranger afar stood near by": (
            ClauseReason.NOT_MEASURED,
            lambda world: _tells(_far, **{"from": world.pods[0].node})(world),
        ),
        "nobody knows where the stranger stood": _unknown(**{"from": None}),
        "none is claimed although one got through": (ClauseReason.INCONSISTENT, _tells(net_8443="connected")),
        "one is claimed although none got through": (ClauseReason.INCONSISTENT, _tells(value=1)),
    },
)
