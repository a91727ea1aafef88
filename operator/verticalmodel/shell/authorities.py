"""The built-in certificate authorities: one signs, a successor may be waiting, retired ones are still trusted.

All of it stands in one Secret, so that a step is one conditional write; the ConfigMap of the same name is the trust
bundle, derived from the Secret and published before the next step is decided (`authority_rotation`). A crash between
any two writes costs a repeat. Only the leader writes.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from verticalmodel.api import names
from verticalmodel.authority_rotation import Authorities, Move, Retired, Signer, Step, next_step
from verticalmodel.kube import resources
from verticalmodel.kube.client import ApiClient
from verticalmodel.kube.errors import AlreadyExists, ApiError
from verticalmodel.kube.leader import NotLeader
from verticalmodel.kube.resources import Key
from verticalmodel.shell.issuer import Authority, fingerprint, load_authority, new_authority
from verticalmodel.shell.trust_bundle import LABELS, Bundle, publish_bundle, read_bundle

_LOG = structlog.get_logger(__name__)
# Two small reads; there is no right to watch the Secret.
_LOOK_SECONDS = 15.0
_RETIRED = "retired.crt"
_SUCCESSOR = ("next.crt", "next.key")
_SIGNING = ("tls.crt", "tls.key")


@dataclass(frozen=True)
class _Stored:
    """The Secret, parsed."""

    body: Mapping[str, Any]
    signing: Authority
    successor: Authority | None
    retired: tuple[x509.Certificate, ...]

    def __repr__(self) -> str:
        return f"_Stored({self.signing}, {self.successor})"


async def ensure_authority(api: ApiClient, namespace: str, now: datetime) -> Authority:
    """The authority that signs: from its Secret, or a new one; the trust bundle is published.

    Raises ApiError, and ValueError where the Secret holds no usable authority: it is never overwritten, because every
    client trusts it.
    """
    stored = await _read(api, namespace)
    if stored is None:
        fresh = new_authority(now)
        try:
            await api.create(resources.SECRETS, _authority_secret(fresh, namespace))
            _LOG.info("certificate authority created", fingerprint=fresh.fingerprint)
        except AlreadyExists:  # another replica was first
            pass
        stored = await _read(api, namespace)
    if stored is None:
        raise ValueError(f"Secret {namespace}/{names.CA_NAME} vanished while it was read")
    # What somebody put a new Secret in the place of is trusted until it is known that no model shows its certificates.
    published = await read_bundle(api, namespace)
    former = _former(stored, published, now)
    await publish_bundle(api, namespace, (*_trusted(stored).values(), *former), published)
    return stored.signing


class Rotation:
    """Takes the steps of a rotation as they come due."""

    def __init__(  # noqa: PLR0913 - what a rotation needs, named
        self,
        *,
        api: ApiClient,
        namespace: str,
        overlap: timedelta,
        clock: Callable[[], datetime],
        named: Callable[[], frozenset[str]],
        on_signer: Callable[[Authority], None],
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._overlap = overlap
        self._clock = clock
        self._named = named
        self._on_signer = on_signer

    async def run(self) -> NoReturn:
        """Until cancelled. What goes wrong is logged and tried again: the authority in force goes on signing."""
        while True:
            try:
                await self.advance()
            except NotLeader:
                raise
            except (ApiError, ValueError) as error:
                _LOG.warning("certificate authorities not looked after", error=str(error))
            await asyncio.sleep(_LOOK_SECONDS)

    async def advance(self) -> None:
        """Publish the bundle and take every step that is due. Raises ApiError; ValueError as `ensure_authority`."""
        while True:
            stored = await _read(self._api, self._namespace)
            if stored is None:
                raise ValueError(
                    f"Secret {self._namespace}/{names.CA_NAME} is gone: restart the operator for a new one"
                )
            now, named = self._clock(), self._named()
            published = await read_bundle(self._api, self._namespace)
            former = tuple(one for one in _former(stored, published, now) if fingerprint(one) in named)
            if former:
                adopting = replace(stored, retired=(*stored.retired, *former))
                await self._api.replace(resources.SECRETS, {**stored.body, "data": _data(adopting)})
                _LOG.warning("certificate authorities", step="the Secret was replaced; the former one retires")
                continue
            await publish_bundle(self._api, self._namespace, tuple(_trusted(stored).values()), published)
            self._on_signer(stored.signing)
            step = next_step(_known(stored), named, now, self._overlap)
            if step.move is Move.NONE:
                return
            await self._api.replace(resources.SECRETS, _after(stored, step, now))
            _LOG.info("certificate authorities", step=step.move.value, signing=stored.signing.fingerprint)


async def _read(api: ApiClient, namespace: str) -> _Stored | None:
    secret = await api.find(resources.SECRETS, Key(namespace, names.CA_NAME))
    if secret is None:
        return None
    data: Mapping[str, str] = secret.get("data") or {}
    if not set(_SIGNING) <= data.keys():
        raise ValueError(f"Secret {namespace}/{names.CA_NAME} must hold tls.crt and tls.key; it holds {sorted(data)}")
    content = {name: base64.b64decode(value) for name, value in data.items()}
    waiting = set(_SUCCESSOR) <= content.keys()
    return _Stored(
        body=secret,
        signing=load_authority(*(content[name] for name in _SIGNING)),
        successor=load_authority(*(content[name] for name in _SUCCESSOR)) if waiting else None,
        retired=tuple(x509.load_pem_x509_certificates(content[_RETIRED])) if content.get(_RETIRED) else (),
    )


def _known(stored: _Stored) -> Authorities:
    annotations = stored.body["metadata"].get("annotations") or {}
    unnamed = json.loads(annotations.get(names.ANNOTATION_CA_UNNAMED) or "{}")
    if not isinstance(unnamed, dict):
        raise ValueError(f"annotation {names.ANNOTATION_CA_UNNAMED} must be a JSON object; take it off")  # noqa: TRY004 - a bad value in a Secret
    return Authorities(
        signing=_signer(stored.signing),
        successor=_signer(stored.successor) if stored.successor else None,
        successor_published=_moment(annotations.get(names.ANNOTATION_CA_PUBLISHED)),
        retired=tuple(
            Retired(fingerprint(one), one.not_valid_after_utc, _moment(unnamed.get(fingerprint(one))))
            for one in stored.retired
        ),
        requested=names.ANNOTATION_CA_ROTATE in annotations,
    )


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; take that annotation off the authority's Secret")
    return moment


def _signer(authority: Authority) -> Signer:
    certificate = authority.certificate
    return Signer(authority.fingerprint, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _after(stored: _Stored, step: Step, now: datetime) -> dict[str, Any]:
    """The Secret after a step, to be written only where it is still as it was read."""
    metadata = stored.body["metadata"]
    annotations = dict(metadata.get("annotations") or {})
    if step.move is Move.NOTE_PUBLISHED:
        annotations[names.ANNOTATION_CA_PUBLISHED] = now.isoformat()
        after = stored
    else:
        # A request is answered by the successor that stands or is made here.
        if step.move is not Move.RECORD_RETIRED:
            annotations.pop(names.ANNOTATION_CA_ROTATE, None)
            annotations.pop(names.ANNOTATION_CA_PUBLISHED, None)
        after = _moved(stored, step, now)
    if step.move is Move.RECORD_RETIRED:
        since = {one.fingerprint: one.unnamed_since.isoformat() for one in step.retired if one.unnamed_since}
        annotations[names.ANNOTATION_CA_UNNAMED] = json.dumps(since)
    return {**stored.body, "metadata": {**metadata, "annotations": annotations}, "data": _data(after)}


def _moved(stored: _Stored, step: Step, now: datetime) -> _Stored:
    if step.move is Move.MAKE_SUCCESSOR:
        return replace(stored, successor=new_authority(now))
    if step.move is Move.PROMOTE and stored.successor is not None:
        return replace(
            stored,
            signing=stored.successor,
            successor=None,
            retired=(*stored.retired, stored.signing.certificate),
        )
    kept = {one.fingerprint for one in step.retired}
    return replace(stored, retired=tuple(one for one in stored.retired if fingerprint(one) in kept))


def _trusted(stored: _Stored) -> dict[str, x509.Certificate]:
    """What belongs into the bundle, by fingerprint, the signer first."""
    successor = (stored.successor.certificate,) if stored.successor else ()
    return {fingerprint(one): one for one in (stored.signing.certificate, *successor, *stored.retired)}


def _former(stored: _Stored, published: Bundle, now: datetime) -> Bundle:
    """Authorities in the bundle that somebody dropped by writing another Secret."""
    known = _trusted(stored)
    return tuple(one for one in published if fingerprint(one) not in known and one.not_valid_after_utc > now)


def _data(stored: _Stored) -> dict[str, str]:
    content = dict(zip(_SIGNING, (stored.signing.certificate_pem, stored.signing.key_pem), strict=True))
    if stored.successor:
        content |= dict(zip(_SUCCESSOR, (stored.successor.certificate_pem, stored.successor.key_pem), strict=True))
    if stored.retired:
        content[_RETIRED] = b"".join(one.public_bytes(Encoding.PEM) for one in stored.retired)
    return {name: base64.b64encode(value).decode() for name, value in content.items()}


def _authority_secret(authority: Authority, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": names.CA_NAME, "namespace": namespace, "labels": LABELS},
        "type": "kubernetes.io/tls",
        "data": _data(_Stored({}, authority, None, ())),
    }
