"""What the service takes and answers, for OpenAPI: nothing of it runs per request."""

from typing import Any

from pydantic import BaseModel


class Label(BaseModel):
    label: str
    probability: float


class Predicted(BaseModel):
    model: str
    predictions: list[Label]
    batch_size: int
    milliseconds: float


class Reason(BaseModel):
    code: str
    message: str


class Refused(BaseModel):
    error: Reason


class State(BaseModel):
    status: str


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: what each of these statuses means, and that its body is an error."""
    meaning = {
        400: "No image in the request, or a broken form",
        408: "The body came too slowly",
        413: "Too many bytes or pixels",
        415: "Neither an image nor a form",
        422: "Not an image, or a damaged one",
        500: "An error of the service",
        503: "Overloaded or stopping: come again after `Retry-After` seconds",
        504: "No answer in time",
    }
    return {s: {"model": Refused, "description": meaning[s]} for s in statuses}


BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/octet-stream": {
                "schema": {"type": "string", "format": "binary"}
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
