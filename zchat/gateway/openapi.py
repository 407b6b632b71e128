"""The OpenAPI description of the routes, read off the table of methods."""

import re
from typing import Any, Final

import msgspec

from zchat import __version__
from zchat.rpc.methods import METHODS, TOKEN, Method, Route

_REFERENCE: Final = "#/components/schemas/{name}"
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_PROBLEM: Final = {
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
_PLACE_OF_TOKEN: Final = {
    "type": "string",
    "description": "The token; with an Authorization "
    "field, the public id of the caller is understood too.",
}
_BYTES: Final = {
    "application/octet-stream": {
        "schema": {"type": "string", "format": "binary"}
    }
}
_EVENTS: Final = {
    "summary": "Stream the caller's events, decrypted.",
    "operationId": "events",
    "parameters": [
        {"name": "user_id", "in": "query", "schema": _PLACE_OF_TOKEN},
        {
            "name": "Last-Event-ID",
            "in": "header",
            "schema": {"type": "string"},
        },
    ],
    "responses": {
        "200": {
            "description": "Events, until one side ends.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
}


def document() -> dict[str, Any]:
    """The whole description, as OpenAPI 3.1."""
    results = [method.result for method in METHODS if method.routes]
    references, components = msgspec.json.schema_components(
        results, ref_template=_REFERENCE
    )
    reference_of = dict(zip(results, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        for route in method.routes:
            paths.setdefault(route.path, {})[route.verb.lower()] = _operation(
                method, route, reference_of[method.result]
            )
    paths["/events"] = {"get": _EVENTS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "zchat",
            "version": __version__,
            "description": "Chat over HTTP.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components | {"Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    method: Method, route: Route, result: dict[str, Any]
) -> dict[str, Any]:
    in_path = set(_IN_PATH.findall(route.path))
    fields = _fields(method, route)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, (schema, _) in fields.items()
        if name in in_path
    ]
    rest = {
        name: field for name, field in fields.items() if name not in in_path
    }
    operation: dict[str, Any] = {
        "summary": method.summary,
        "operationId": method.name,
        "parameters": parameters,
        "responses": _responses(route, result),
    }
    if route.verb == "GET" or route.raw:
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": required,
                "schema": schema,
            }
            for name, (schema, required) in rest.items()
        ]
        if route.verb != "GET":
            operation["requestBody"] = {"required": True, "content": _BYTES}
    elif rest:
        operation["requestBody"] = {
            "content": {"application/json": {"schema": _object(rest)}}
        }
    return operation


def _fields(
    method: Method, route: Route
) -> dict[str, tuple[dict[str, Any], bool]]:
    """What the route takes: its name to its schema, and if it must be."""
    _, components = msgspec.json.schema_components([method.params])
    schema = components[method.params.__name__]
    required = set(schema.get("required", ()))
    field_of = {name: field for field, name in route.rename.items()}
    fields = {
        name if name == TOKEN else field_of.get(name, name): (
            inner,
            name in required,
        )
        for name, inner in schema["properties"].items()
        if not (route.raw and name in ("size", "offset", "length"))
    }
    token = field_of.get(TOKEN)
    if token is not None:
        fields[token] = (_PLACE_OF_TOKEN, False)
    if "sha256" in fields and route.raw:
        fields["sha256"] = (fields["sha256"][0], False)
    return fields


def _object(fields: dict[str, tuple[dict[str, Any], bool]]) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: inner for name, (inner, _) in fields.items()},
    }
    required = [name for name, (_, must) in fields.items() if must]
    if required:
        schema["required"] = required
    return schema


def _responses(route: Route, result: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": result}}
    if route.raw and route.verb == "GET":
        content = _BYTES
    return {
        "200": {"description": "Done.", "content": content},
        "default": {
            "description": "Refused; `code` says why.",
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"}
                }
            },
        },
    }
