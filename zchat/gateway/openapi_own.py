"""The OpenAPI description of what is no method: events, files, operation."""

from typing import Any, Final

import msgspec

from zchat.gateway.files import UploadedFile
from zchat.gateway.stream_text import HANDLED_HERE, STREAM_EVENTS
from zchat.gateway.tickets import Ticket
from zchat.rpc.events import EVENTS

_REFERENCE: Final = "#/components/schemas/{name}"
PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457, with the error's code.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
}
BYTES: Final = {
    "application/octet-stream": {
        "schema": {"type": "string", "format": "binary"}
    }
}
REFUSED: Final = {
    "description": "Refused; `code` says why.",
    "content": {
        "application/problem+json": {
            "schema": {"$ref": "#/components/schemas/Problem"}
        }
    },
}
_EVENTS: Final[tuple[type[msgspec.Struct], ...]] = (
    *STREAM_EVENTS,
    *(event for event in EVENTS if event not in HANDLED_HERE),
)
_TOKEN_IN_QUERY: Final = {
    "name": "user_id",
    "in": "query",
    "description": "The token, where no Authorization header is sent.",
    "schema": {"type": "string"},
}
_TICKET: Final = {
    "name": "ticket",
    "in": "query",
    "description": "A ticket of POST /events/ticket, in place of the token.",
    "schema": {"type": "string"},
}
_RESUME: Final = "Where to resume: the `id` of the last event taken."


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "200": {
            "description": description,
            "content": {"application/json": {"schema": schema}},
        },
        "default": REFUSED,
    }


def _status(*names: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(names),
        "properties": {name: {"type": "string"} for name in names},
    }


def _operation(
    name: str, summary: str, responses: dict[str, Any]
) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["operation"],
        "security": [{}],
        "responses": responses,
    }


def own_schemas() -> dict[str, Any]:
    """The schemas of what the gateway itself answers."""
    _, components = msgspec.json.schema_components(
        [Ticket, UploadedFile, *_EVENTS], ref_template=_REFERENCE
    )
    return components


def own_paths() -> dict[str, dict[str, Any]]:
    """The endpoints that are no method of the broker."""
    return {
        "/events": {"get": _events()},
        "/events/ticket": {"post": _ticket()},
        "/healthz": {
            "get": _operation(
                "healthz",
                "Check that the gateway runs.",
                _json("It runs.", _status("status")),
            )
        },
        "/readyz": {
            "get": _operation(
                "readyz",
                "Check that the broker answers.",
                _json("It answers.", _status("status", "epoch")),
            )
        },
        "/metrics": {
            "get": _operation(
                "metrics",
                "Show the server's numbers to Prometheus.",
                {
                    "200": {
                        "description": "The numbers.",
                        "content": {
                            "text/plain": {"schema": {"type": "string"}}
                        },
                    }
                },
            )
        },
        "/openapi.json": {
            "get": _operation(
                "openapi",
                "Describe the endpoints.",
                _json("This document.", {"type": "object"}),
            )
        },
    }


def _ticket() -> dict[str, Any]:
    place = {"user_id": {"type": ["string", "null"]}}
    return {
        "operationId": "event_ticket",
        "summary": "Get a one-time ticket for an event stream.",
        "tags": ["events"],
        "requestBody": {
            "required": False,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": place,
                    }
                }
            },
        },
        "responses": _json(
            "The ticket.", {"$ref": "#/components/schemas/Ticket"}
        ),
    }


def _events() -> dict[str, Any]:
    """OpenAPI 3.1 cannot type the events of a stream; 3.2 has itemSchema."""
    events = [
        {"$ref": _REFERENCE.format(name=event.__name__)} for event in _EVENTS
    ]
    return {
        "operationId": "events",
        "summary": "Stream the caller's events, decrypted.",
        "tags": ["events"],
        "security": [{"token": []}, {}],
        "parameters": [
            _TOKEN_IN_QUERY,
            _TICKET,
            {
                "name": "last_event_id",
                "in": "query",
                "description": _RESUME,
                "schema": {"type": "string"},
            },
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": _RESUME,
                "schema": {"type": "string"},
            },
        ],
        "responses": {
            "200": {
                "description": "Events, until one side ends: each with its "
                "name as `event`, JSON as `data`, where to resume as `id`.",
                "content": {
                    "text/event-stream": {
                        "schema": {"type": "string"},
                        "x-itemSchema": {"oneOf": events},
                    }
                },
            },
            "default": REFUSED,
        },
    }
