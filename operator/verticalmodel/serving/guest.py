"""One small model beside the served one, loaded and unloaded by Open Inference Protocol's repository extension.

Clause 33 asks for one standard way to load models; a probe shows it with a model of its own. The served model is not
touched by this: its life is the pod's. A guest is replaced by the next one, so that a probe that dies leaves one.

Source: Triton's model repository extension, https://github.com/triton-inference-server/server, load with the model's
content in `parameters` ("file:<version>/<name>": base64, beside "config").
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from concurrent.futures import Executor
from pathlib import Path
from threading import Lock

import orjson
from kserve import ModelRepository
from kserve.errors import InvalidInput, ModelNotFound

from verticalmodel.serving.model import ModelLoadError, OnnxModel

MOST_BYTES = 64 * 1024
"""Largest ONNX file of a guest."""
_FILE = "file:1/model.onnx"


class Guest:
    """Loads and unloads the guest. For worker threads: loading takes as long as building a session."""

    def __init__(self, repository: ModelRepository, workers: Executor, *, own: str) -> None:
        self._repository = repository
        self._workers = workers
        self._own = own
        self._name = ""
        self._one_at_a_time = Lock()

    def load(self, name: str, body: bytes) -> None:
        """Load the file in `body` under this name, in the place of the guest before. Raises InvalidInput."""
        self._refuse_own(name)
        content = _content(body)
        with self._one_at_a_time, tempfile.TemporaryDirectory() as folder:
            self._forget()
            path = Path(folder, "model.onnx")
            path.write_bytes(content)
            model = OnnxModel(name, path, threads=1, workers=self._workers)
            try:
                model.load()
            except ModelLoadError:
                # Its text names a path of ours.
                raise InvalidInput("the file is no ONNX model that can be served") from None
            self._repository.update(model)
            self._name = name

    def unload(self, name: str) -> None:
        """Forget the guest of this name. Raises InvalidInput, or ModelNotFound."""
        self._refuse_own(name)
        with self._one_at_a_time:
            if name != self._name:
                raise ModelNotFound(name)
            self._forget()

    def _forget(self) -> None:
        if self._name:
            self._repository.unload(self._name)
            self._name = ""

    def _refuse_own(self, name: str) -> None:
        if name == self._own:
            raise InvalidInput(f"model {name} lives as long as its server: it is neither loaded nor unloaded")


def _content(body: bytes) -> bytes:
    wanted = f'a body {{"parameters": {{"config": "...", "{_FILE}": "<base64>"}}}} is expected'
    try:
        request = orjson.loads(body)
        encoded = request["parameters"][_FILE]
        content = base64.b64decode(encoded, validate=True)
    except (orjson.JSONDecodeError, KeyError, TypeError, binascii.Error, ValueError):
        raise InvalidInput(wanted) from None
    if not 0 < len(content) <= MOST_BYTES:
        raise InvalidInput(f"{_FILE} has {len(content)} bytes; it must have 1 to {MOST_BYTES}")
    return content
