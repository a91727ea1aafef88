"""One ONNX file as a KServe model: loaded, warmed up, then answering on worker threads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import kserve
import onnxruntime
from kserve.errors import InferenceError, InvalidInput
from kserve.utils.utils import generate_uuid
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from verticalmodel.serving.onnx_header import NotONNXError, OnnxHeader, read_header
from verticalmodel.serving.tensors import TensorSpec, UnservableTensorError, feeds

PLATFORM = "onnxruntime_onnx"

# ONNX Runtime's exceptions have no base class of their own: these are all it raises (onnxruntime_pybind_exceptions.cc).
_ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)

_log = logging.getLogger(__name__)


class ModelLoadError(Exception):
    """The model cannot be served; the message is one line for a person."""


def model_file(path: Path) -> Path:
    """The ONNX file that `path` names: itself, or the only `*.onnx` in the folder. Raises ModelLoadError otherwise."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise ModelLoadError(f"{path} does not exist")
    found = sorted(entry for entry in path.iterdir() if entry.suffix == ".onnx" and entry.is_file())
    if len(found) != 1:
        names = ", ".join(entry.name for entry in found) or "none"
        raise ModelLoadError(f"{path} must hold exactly one .onnx file, found: {names}")
    return found[0]


class OnnxModel(kserve.Model):  # type: ignore[misc]  # KServe ships no types
    """The served model. `ready` only after `load` has seen the loaded session answer."""

    def __init__(self, name: str, path: Path, *, threads: int, workers: Executor) -> None:
        super().__init__(name)
        self._path = path
        self._threads = threads
        self._workers = workers
        self._session: Any = None
        self._header = OnnxHeader()
        self._inputs: list[TensorSpec] = []
        self._outputs: list[TensorSpec] = []

    def load(self) -> bool:
        """Read the file, build the session and run it once on the smallest input. Raises ModelLoadError."""
        path = model_file(self._path)
        try:
            self._header = read_header(path)
            self._session = onnxruntime.InferenceSession(path, self._options(), providers=["CPUExecutionProvider"])
            self._inputs = [TensorSpec.of(node) for node in self._session.get_inputs()]
            self._outputs = [TensorSpec.of(node) for node in self._session.get_outputs()]
        except OSError as error:
            raise ModelLoadError(f"{path} cannot be read: {error.strerror}") from error
        except NotONNXError as error:
            raise ModelLoadError(f"{path} is not a whole ONNX model: {error}") from error
        except UnservableTensorError as error:
            raise ModelLoadError(f"{path} cannot be served: {error}") from error
        except _ORT_ERRORS as error:
            raise ModelLoadError(f"ONNX Runtime refuses {path}: {_one_line(error)}") from error
        self._warm_up()
        self.ready = True
        return True

    def get_input_types(self) -> list[dict[str, Any]]:
        return [spec.metadata() for spec in self._inputs]

    def get_output_types(self) -> list[dict[str, Any]]:
        return [spec.metadata() for spec in self._outputs]

    def properties(self) -> Mapping[str, str]:
        """What clause 6 reads: the runtime, and the exporter and operator sets of the loaded file."""
        return {
            "runtime": "onnxruntime",
            "runtime_version": onnxruntime.__version__,
            "producer_name": self._header.producer_name,
            "producer_version": self._header.producer_version,
            "ir_version": str(self._header.ir_version),
            **{f"opset/{domain}": str(version) for domain, version in sorted(self._header.opsets.items())},
        }

    async def predict(self, payload: Any, headers: Mapping[str, str] | None = None) -> Any:  # noqa: ARG002 (KServe's signature)
        """Answer one request on a worker thread, so that health checks are answered meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, self._answer, payload)

    def _answer(self, request: Any) -> Any:
        names = self._requested(request)
        arrays = feeds(request.inputs, self._inputs)
        try:
            results = self._session.run(names, arrays)
        except ort_errors.InvalidArgument as error:
            raise InvalidInput(f"the model does not take these values: {_one_line(error)}") from error
        except _ORT_ERRORS as error:
            _log.exception("inference failed")
            raise InferenceError("the model failed on this input") from error
        datatypes = {spec.name: spec.datatype for spec in self._outputs}
        return kserve.InferResponse(
            response_id=request.id or generate_uuid(),
            model_name=self.name,
            infer_outputs=[
                kserve.InferOutput(name, list(result.shape), datatypes[name], data=result)
                for name, result in zip(names, results, strict=True)
            ],
            use_binary_outputs=request.use_binary_outputs,
            requested_outputs=request.request_outputs,
        )

    def _requested(self, request: Any) -> list[str]:
        known = [spec.name for spec in self._outputs]
        if not request.request_outputs:
            return known
        names = [output.name for output in request.request_outputs]
        if not set(names) <= set(known) or len(names) != len(set(names)):
            raise InvalidInput(f"outputs are {names}; the model gives each of {known} at most once")
        return names

    def _options(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # A spinning pool burns the container's CPU quota while it waits for work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return options

    def _warm_up(self) -> None:
        try:
            self._session.run(None, {spec.name: spec.smallest() for spec in self._inputs})
        except _ORT_ERRORS as error:
            raise ModelLoadError(f"{self._path} loads but does not answer its warm-up: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]
