"""The OpenAI API as vLLM serves it: a harmless request, and what makes an answer good. Pure.

Source: https://platform.openai.com/docs/api-reference, calls completions, chat/completions and embeddings.
"""

from __future__ import annotations

from typing import Any

from verticalmodel.probe.openinference import UnusableError, encoded, json_object, sample_object

__all__ = ["answer_fault", "request"]

_CALLS = {"messages": "/v1/chat/completions", "input": "/v1/embeddings"}
_RESULTS = {"/v1/embeddings": "data"}


def request(sample: str, *, model: str, nonce: str) -> tuple[str, bytes]:
    """Path and body of one request: the runtime's `sample`, else one token after the nonce. Raises UnusableError.

    The field that bears the input tells the call: `messages`, `input`, or else `prompt`.
    """
    body = sample_object(sample) if sample else {"prompt": nonce, "max_tokens": 1}
    if body.get("stream"):
        raise UnusableError("sampleRequest asks for a stream; leave out stream")
    path = next((call for field, call in _CALLS.items() if field in body), "/v1/completions")
    return path, encoded({**body, "model": model})


def answer_fault(body: bytes, *, path: str, model: str) -> str:
    """Why this is no good answer; an empty string where it is one.

    Good: JSON with the model's name and at least one result of the call's kind, which is not empty.
    """
    answer = json_object(body)
    if isinstance(answer, str):
        return answer
    if answer.get("model") != model:
        return "another model"
    field = _RESULTS.get(path, "choices")
    results = answer.get(field)
    if not isinstance(results, list) or not results:
        return f"no {field}"
    return "" if all(_bears(one, path) for one in results) else f"{field} without a result"


def _bears(result: object, path: str) -> bool:
    """A result of the call's kind. One token may be an empty text, but it is a text."""
    if not isinstance(result, dict):
        return False
    if path == "/v1/embeddings":
        vector: Any = result.get("embedding")
        return isinstance(vector, list | str) and bool(vector)
    if path == "/v1/completions":
        return isinstance(result.get("text"), str)
    return isinstance(result.get("message"), dict)
