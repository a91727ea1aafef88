"""The HTTP surface: Open Inference Protocol v2 health, metadata, inference and the loading of a guest; nothing else.

KServe's handlers and data plane answer; what differs from its own server, and why (all seen in KServe 0.21): its
server health is ready while no model is, its inference loads a model that is not ready inside the request, its
metadata drops the platform and the properties, its repository routes would unload the served model, and its v1,
metrics and docs routes are not ours to serve.
"""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import version
from platform import python_version
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from kserve import ModelRepository
from kserve.errors import (
    InferenceError,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ServerNotReady,
)
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.v2_endpoints import V2Endpoints
from starlette.exceptions import HTTPException

from verticalmodel.serving import wire
from verticalmodel.serving.admission import Admission, BodyTooLargeError, OverloadedError
from verticalmodel.serving.guest import Guest
from verticalmodel.serving.model import PLATFORM, OnnxModel

_log = logging.getLogger(__name__)


class ServedModels(DataPlane):  # type: ignore[misc]  # KServe ships no types
    """KServe's data plane with readiness taken from the models."""

    async def ready(self) -> bool:
        models = self.model_registry.get_models()
        return bool(models) and all([await model.healthy() for model in models.values()])

    async def get_model(self, name: str) -> OnnxModel:
        """The named model. Raises ModelNotFound, or ModelNotReady rather than loading it within a request."""
        model: OnnxModel = self.get_model_from_registry(name)
        if not await model.healthy():
            raise ModelNotReady(name)
        return model

    def metadata(self) -> dict[str, Any]:
        return {
            "name": "verticalmodel-serving",
            "version": version("kserve"),
            "extensions": ["binary_tensor_data", "model_repository"],
            "properties": {
                "kserve": version("kserve"),
                "onnxruntime": version("onnxruntime"),
                "python": python_version(),
            },
        }

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        model = await self.get_model(model_name)
        return {
            "name": model_name,
            "platform": PLATFORM,
            "inputs": model.get_input_types(),
            "outputs": model.get_output_types(),
            "properties": dict(model.properties()),
        }


def application(repository: ModelRepository, guest: Guest, *, max_body_bytes: int, concurrency: int) -> FastAPI:
    """The ASGI application over `repository`; every error is `{"error": "<text>"}`, as the protocol has it.

    At most `concurrency` requests are decoded and answered at once: a decoded body is many times its size in JSON.
    """
    admission = Admission(max_body_bytes)
    turn = asyncio.Semaphore(concurrency)
    models = ServedModels(repository)
    endpoints = V2Endpoints(models)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    async def server_metadata() -> Response:
        return _json(models.metadata())

    async def model_metadata(model_name: str) -> Response:
        return _json(await models.model_metadata(model_name))

    async def infer(request: Request, model_name: str) -> Response:
        await models.get_model(model_name)
        with admission.body() as body:
            async for chunk in request.stream():
                body.receive(chunk)
            async with turn:
                decoded = await asyncio.to_thread(wire.decode, body.complete(), request.headers, model_name)
                answer, _ = await models.infer(model_name, decoded, dict(request.headers))
                content, headers = await asyncio.to_thread(wire.encode, answer)
        return Response(content, headers=headers)

    async def load(request: Request, model_name: str) -> Response:
        with admission.body() as body:
            async for chunk in request.stream():
                body.receive(chunk)
            async with turn:
                await asyncio.to_thread(guest.load, model_name, body.complete())
        return _json({})

    async def unload(model_name: str) -> Response:
        async with turn:
            await asyncio.to_thread(guest.unload, model_name)
        return _json({})

    app.add_api_route("/v2", server_metadata, methods=["GET"])
    app.add_api_route("/v2/health/live", endpoints.live, methods=["GET"])
    app.add_api_route("/v2/health/ready", endpoints.ready, methods=["GET"])
    app.add_api_route("/v2/models/{model_name}", model_metadata, methods=["GET"])
    app.add_api_route("/v2/models/{model_name}/ready", endpoints.model_ready, methods=["GET"])
    app.add_api_route("/v2/models/{model_name}/infer", infer, methods=["POST"])
    app.add_api_route("/v2/repository/models/{model_name}/load", load, methods=["POST"])
    app.add_api_route("/v2/repository/models/{model_name}/unload", unload, methods=["POST"])
    _answer_errors(app, max_body_bytes)
    return app


def _answer_errors(app: FastAPI, max_body_bytes: int) -> None:
    def answer(status: int) -> Any:
        async def handler(_: Request, error: Exception) -> Response:
            return _json({"error": str(error)}, status)

        return handler

    async def http_error(_: Request, error: Any) -> Response:
        return _json({"error": error.detail}, error.status_code, error.headers)

    async def too_large(_: Request, __: Exception) -> Response:
        # The rest of the body may not have been read, so the connection cannot be used again.
        return _json({"error": f"the body is larger than {max_body_bytes} bytes"}, 413, {"connection": "close"})

    async def overloaded(_: Request, __: Exception) -> Response:
        return _json({"error": "too many large requests at once; try again"}, 503, {"retry-after": "1"})

    async def unexpected(_: Request, error: Exception) -> Response:
        _log.error("request failed", exc_info=error)
        return _json({"error": "internal error"}, 500)

    app.add_exception_handler(InvalidInput, answer(400))
    app.add_exception_handler(ModelNotFound, answer(404))
    app.add_exception_handler(ModelNotReady, answer(503))
    app.add_exception_handler(ServerNotReady, answer(503))
    app.add_exception_handler(InferenceError, answer(500))
    app.add_exception_handler(BodyTooLargeError, too_large)
    app.add_exception_handler(OverloadedError, overloaded)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, unexpected)


def _json(content: Any, status: int = 200, headers: Any = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")
