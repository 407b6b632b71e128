"""The page of all HTTP endpoints, from the routes of the methods."""

import re
from typing import Final, NamedTuple

from docs.pages.event_stream import event_stream_section
from docs.pages.notes import PARAMETERS
from docs.pages.types import fields_of
from zchat.rpc.methods import METHODS, TOKEN, Method, Route

HEAD: Final = """\
# HTTP endpoints

This page comes from the routes in `zchat/rpc/methods.py`; `make docs` writes
it. A machine reads the same from `GET /openapi.json`.

Parameters go into a JSON body, also on GET, or into the query; those in braces
are part of the path. Send your token as `Authorization: Bearer TOKEN`, or in
the field that the table calls *token*; with the header, that field may hold
your public id instead. `Idempotency-Key: KEY` is the same as the field
`idempotency_key`. Results and their types stand under the method in
[methods.md](methods.md), errors in [errors.md](errors.md).

What is wrong with the HTTP itself has the status that RFC 9110 gives it, and
the nearest code: 400, 417, 501 and 505 are `bad_request`, 405 is
`unknown_method` and says in `Allow` what the path takes, 408 is a request that
did not come in time, 413, 414 and 431 are `too_large`, 421 is a `Host` that
this server does not answer to, and 403 with an `Origin` of a web page that was
not permitted by `--allow-origin`.

"""


class Own(NamedTuple):
    """An endpoint that is no method of the broker."""

    path: str
    meaning: str
    verb: str = "GET"


OWN: Final = (
    Own(
        "/events",
        "Your events, decrypted, as `text/event-stream`; resumes.",
    ),
    Own("/events/ticket", "A one-time ticket for `GET /events`.", "POST"),
    Own("/openapi.json", "This table for machines, as OpenAPI 3.1."),
    Own("/healthz", "200 while the gateway runs."),
    Own("/readyz", "200 while the broker answers too, else 503."),
    Own("/metrics", "Numbers for Prometheus."),
)


def http_page() -> str:
    """A table of all endpoints, then a section for each with fields."""
    return (
        HEAD
        + endpoints_table("methods.md")
        + "\n"
        + "\n".join(
            _section(method, route)
            for method in METHODS
            for route in method.routes
        )
        + "\n"
        + event_stream_section()
    )


def endpoints_table(methods: str) -> str:
    """All endpoints; `methods` is where the page of methods is."""
    rows = [
        f"| `{route.verb} {route.path}` | {method.summary} "
        f"| [`{method.name}`]({methods}#{method.name}) |\n"
        for method in METHODS
        for route in method.routes
    ]
    rows += [f"| `{own.verb} {own.path}` | {own.meaning} | |\n" for own in OWN]
    return "| endpoint | what it does | method |\n|---|---|---|\n" + (
        "".join(rows)
    )


def _section(method: Method, route: Route) -> str:
    rows = "".join(
        f"| `{field}` | {meaning} |\n"
        for field, meaning in _fields(method, route)
    )
    table = f"| field | |\n|---|---|\n{rows}" if rows else ""
    note = _RAW[route.verb] if route.raw else ""
    return f"## {route.verb} {route.path}\n\n{method.summary}{note}\n\n" + (
        table
    )


_RAW: Final = {
    "POST": " The body is the file; its `sha256` may be given in the query "
    "or as `X-Content-SHA256`. Answers `file_id`, `name`, `size`, `sha256`.",
    "GET": " The answer is the file, or the part that `Range` asks for.",
}


def _fields(method: Method, route: Route) -> list[tuple[str, str]]:
    """The fields of a route and what each is, the token's first."""
    in_path = set(re.findall(r"\{(\w+)\}", route.path))
    field_of = {name: field for field, name in route.rename.items()}
    token = TOKEN if method.names_token else field_of.get(TOKEN)
    rows = [(token, "token")] if token else []
    for field in fields_of(method.params, PARAMETERS):
        if field.name in (TOKEN, *route.fixed) or (
            route.raw and field.name in ("size", "offset", "length")
        ):
            continue
        words = field.type
        if field.name in in_path:
            words += "; in the path"
        elif field.required and not (route.raw and field.name == "sha256"):
            words += "; required"
        rows.append((field_of.get(field.name, field.name), words))
    return rows
