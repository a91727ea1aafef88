"""Claims about the logs: one JSON object per line, a stable order, and no credentials."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from verticalmodel.kube.logs import REDACTED, configure, redact

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"
PRIVATE_KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEII\n-----END EC PRIVATE KEY-----"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What is logged at INFO and above; logging is as it was afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    # Handlers of the test runner stay out of it: force=True would close them.
    root.handlers = []
    configure("info", stream)
    yield stream
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_structlog_and_standard_logging_give_the_same_lines(output: io.StringIO) -> None:
    structlog.get_logger("verticalmodel.a").info("done", model="d/m", count=2)
    logging.getLogger("verticalmodel.a").info("done", extra={"model": "d/m", "count": 2})
    first, second = lines(output)
    assert first.pop("ts")
    assert second.pop("ts")
    assert (
        first == second == {"level": "info", "logger": "verticalmodel.a", "event": "done", "count": 2, "model": "d/m"}
    )


def test_the_keys_of_a_line_come_in_a_stable_order(output: io.StringIO) -> None:
    structlog.get_logger("x").info("e", zeta=1, alpha=2)
    logging.getLogger("x").warning("e", extra={"zeta": 1, "alpha": 2})
    assert [list(line) for line in lines(output)] == [["ts", "level", "logger", "event", "alpha", "zeta"]] * 2


def test_an_exception_stays_within_its_line(output: io.StringIO) -> None:
    try:
        dict[str, str]()["lost"]
    except KeyError:
        structlog.get_logger("x").exception("failed")
    [line] = lines(output)
    assert list(line)[-1] == "exception"
    assert line["exception"].endswith("KeyError: 'lost'")


def test_what_is_below_the_level_is_not_logged(output: io.StringIO) -> None:
    structlog.get_logger("x").debug("quiet")
    logging.getLogger("x").debug("quiet")
    assert lines(output) == []


def test_an_unknown_level_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match=r"'loud'.*DEBUG, INFO"):
        configure("loud")


def test_no_credential_reaches_a_line_however_it_comes(output: io.StringIO) -> None:
    log = structlog.get_logger("x")
    secret = {
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"tls.key": "c2VjcmV0"},
        "stringData": {"k": "secret"},
    }
    log.info("object", obj=secret, nested=[{"inner": secret}])
    log.info("headers", headers={"Authorization": "Bearer secret", "X-Token": "secret"}, client_key_data="secret")
    log.info("text", error=f"401 for Bearer secret and {JWT}", pem=f"key: {PRIVATE_KEY}")
    event = f"in the event: {JWT}"
    log.info(event)
    logging.getLogger("x").warning("standard: %s", f"Bearer {JWT}")
    try:
        int(f"Bearer {JWT}")
    except ValueError:
        log.exception("raised")
    text = output.getvalue()
    for leaked in ("c2VjcmV0", '"secret"', "Bearer secret", JWT, "MHcCAQEEII"):
        assert leaked not in text
    assert '"name":"s"' in text


@pytest.mark.parametrize("name", ["token", "accessToken", "api_key", "client-key-data", "PASSWORD", "Cookie"])
def test_values_under_telling_names_are_gone(name: str) -> None:
    assert redact({name: "x"}) == {name: REDACTED}


@pytest.mark.parametrize("name", ["tokens_used", "secretName", "key", "message", "name"])
def test_values_under_harmless_names_stay(name: str) -> None:
    assert redact({name: "x"}) == {name: "x"}


def test_a_config_map_keeps_its_data() -> None:
    config = {"kind": "ConfigMap", "data": {"a": "b"}}
    assert redact(config) == config


def test_nesting_without_end_is_cut() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert REDACTED in json.dumps(redact(loop))


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary()),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
        max_leaves=20,
    )
)
@settings(max_examples=25)
def test_whatever_is_logged_can_be_written_as_json(value: Any) -> None:
    json.dumps(redact(value))
