"""The OpenAPI description of the routes, read off the table of methods."""

import re
from typing import Any, Final

import msgspec

from zchat import __version__
from zchat.gateway.files import UploadedFile
from zchat.gateway.openapi_own import (
    BYTES,
    PROBLEM,
    REFUSED,
    own_paths,
    own_schemas,
)
from zchat.rpc.methods import KEY, METHODS, TOKEN, Method, Route

_REFERENCE: Final = "#/components/schemas/{name}"
_IN_PATH: Final = re.compile(r"\{(\w+)\}")
_PLACE_OF_TOKEN: Final = {
    "type": ["string", "null"],
    "description": "The token; with an Authorization header, "
    "the caller's public id is understood too.",
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same as the field `idempotency_key`.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64},
}
_TAG_BY_ROOM: Final = {
    "connect": "users",
    "status": "users",
    "rename": "users",
    "rotate_token": "users",
    "report_user": "users",
    "settings": "users",
    "send": "messages",
    "comment": "messages",
    "comments": "messages",
    "messages": "messages",
    "history": "messages",
    "changes": "messages",
    "search": "messages",
    "typing": "messages",
    "unread": "messages",
    "read": "messages",
    "scheduled": "messages",
    "chats": "chats",
    "connect_p2p": "chats",
    "users": "chats",
    "links": "chats",
    "join": "chats",
    "files": "files",
    "sync": "events",
    "events": "events",
    "accounts": "operation",
    "complaints": "operation",
    "announcements": "operation",
    "invites": "operation",
    "audit": "operation",
    "stats": "operation",
}
"""The subject of an endpoint by the first part of its path."""
_SUBJECTS: Final = {
    "users": "Accounts: names, tokens, complaints.",
    "messages": "Sending and reading.",
    "chats": "Chats, their members and links into them.",
    "files": "Files of messages.",
    "events": "What happens, as it happens.",
    "operation": "For whoever runs the server.",
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
    paths |= own_paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "zchat",
            "version": __version__,
            "description": "Chat over HTTP.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The server that told this."}],
        "tags": [
            {"name": name, "description": text}
            for name, text in _SUBJECTS.items()
        ],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": _plain(components)
            | own_schemas()
            | {"Problem": PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def tag_of(path: str) -> str:
    """The subject of a path."""
    return _TAG_BY_ROOM[path.split("/")[1]]


def _plain(schema: Any) -> Any:
    """A schema without what only Python's patterns need.

    There, $ also stands before a last line feed (rpc/params.py).
    """
    if isinstance(schema, dict):
        plain = {name: _plain(inner) for name, inner in schema.items()}
        pattern = plain.get("pattern")
        if isinstance(pattern, str):
            plain["pattern"] = pattern.removesuffix(r"(?!\n)")
        return plain
    if isinstance(schema, list):
        return [_plain(inner) for inner in schema]
    return schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that a query or a path holds: it has no null."""
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        return schema | {"type": kinds[0]}
    kinds = [
        kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}
    ]
    if len(kinds) != 1:
        return schema
    rest = {
        name: value
        for name, value in schema.items()
        if name not in ("anyOf", "default")
    }
    inner: dict[str, Any] = kinds[0]
    return rest | inner


def _operation(
    method: Method, route: Route, result: dict[str, Any]
) -> dict[str, Any]:
    in_path = set(_IN_PATH.findall(route.path))
    fields = _fields(method, route)
    parameters = [
        _parameter(name, "path", schema, required=True)
        for name, (schema, _) in fields.items()
        if name in in_path
    ]
    rest = {
        name: field for name, field in fields.items() if name not in in_path
    }
    operation: dict[str, Any] = {
        "summary": method.summary,
        "operationId": method.name,
        "tags": [tag_of(route.path)],
        "parameters": parameters,
        "responses": _responses(route, result),
    }
    if not method.needs_token:
        operation["security"] = [{}, {"token": []}]
    if KEY in method.params.__struct_fields__:
        parameters.append(_IDEMPOTENCY_KEY)
    if route.verb == "GET" or route.raw:
        parameters += [
            _parameter(name, "query", schema, required)
            for name, (schema, required) in rest.items()
        ]
        if route.verb != "GET":
            operation["requestBody"] = {"required": True, "content": BYTES}
    elif rest:
        schema = _object(rest)
        operation["requestBody"] = {
            "required": "required" in schema,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _parameter(
    name: str, place: str, schema: dict[str, Any], required: bool
) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": required,
        "schema": _without_null(schema),
    }


def _fields(
    method: Method, route: Route
) -> dict[str, tuple[dict[str, Any], bool]]:
    """What the route takes: its name to its schema, and if it must be."""
    _, components = msgspec.json.schema_components([method.params])
    schema: dict[str, Any] = _plain(components[method.params.__name__])
    required = set(schema.get("required", ()))
    field_of = {name: field for field, name in route.rename.items()}
    fields = {
        name if name == TOKEN else field_of.get(name, name): (
            inner,
            name in required,
        )
        for name, inner in schema["properties"].items()
        if not (route.raw and name in ("size", "offset", "length"))
        and name not in route.fixed
    }
    token = None if method.names_token else field_of.get(TOKEN)
    if token is not None:
        fields[token] = (dict(_PLACE_OF_TOKEN), False)
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
    if route.raw and route.verb == "GET":
        return {
            "200": {"description": "The file.", "content": BYTES},
            "206": {"description": "The range of it.", "content": BYTES},
            "default": REFUSED,
        }
    if route.raw:
        result = {"$ref": _REFERENCE.format(name=UploadedFile.__name__)}
    content = {"application/json": {"schema": result}}
    return {
        "200": {"description": "Done.", "content": content},
        "default": REFUSED,
    }
