"""Finds the route of a request: fixed paths first, then templates."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import unquote

import msgspec

from zchat.errors import Code
from zchat.gateway.messages import Refusal, Request, Response, problem

Values = Mapping[str, str]
Serve = Callable[[Request, Values], Response | Awaitable[Response]]

NO_ROUTE: Final = "none"
_NO_VALUES: Final[Values] = {}


class Target(msgspec.Struct):
    """What is behind one path: the path's template and its verbs."""

    template: str
    serve_by_verb: dict[str, Serve]

    def allowed(self) -> str:
        """The verbs as an Allow field tells them."""
        verbs = set(self.serve_by_verb) | {"OPTIONS"}
        if "GET" in verbs:
            verbs.add("HEAD")
        return ", ".join(sorted(verbs))


class Router:
    """Paths with `{names}` in them, each to its verbs.

    HEAD is served as GET, whose body the connection leaves out; OPTIONS
    tells what is allowed.
    """

    def __init__(self) -> None:
        self._fixed: dict[str, Target] = {}
        self._templates: dict[int, list[tuple[list[str], Target]]] = {}

    def add(self, verb: str, path: str, serve: Serve) -> None:
        """Serve a verb on a path."""
        target = self._at(path)
        if verb in target.serve_by_verb:
            raise ValueError(f"{verb} {path} is there twice")
        target.serve_by_verb[verb] = serve

    def _at(self, path: str) -> Target:
        if "{" not in path:
            return self._fixed.setdefault(path, Target(path, {}))
        parts = path.split("/")
        templates = self._templates.setdefault(len(parts), [])
        for known, target in templates:
            if known == parts:
                return target
        target = Target(path, {})
        templates.append((parts, target))
        return target

    def template(self, path: str) -> str:
        """The template that a path fits; `none` where there is none."""
        found = self._find(path)
        return found[0].template if found else NO_ROUTE

    def serve(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request, or say what there is instead."""
        found = self._find(request.path)
        if found is None:
            if request.path == "*":
                return Response(204)
            return problem(
                404,
                Code.UNKNOWN_METHOD,
                "Unknown path. GET /openapi.json lists all endpoints.",
            )
        target, parts = found
        verb = "GET" if request.method == "HEAD" else request.method
        serve = target.serve_by_verb.get(verb)
        if serve is None:
            return _other_verb(request, target)
        return serve(request, parts and _values(target.template, parts))

    def _find(self, path: str) -> tuple[Target, Values] | None:
        target = self._fixed.get(path)
        if target is not None:
            return target, _NO_VALUES
        parts = path.split("/")
        for known, target in self._templates.get(len(parts), ()):
            if all(
                name == part or (name.startswith("{") and part)
                for name, part in zip(known, parts, strict=True)
            ):
                return target, {
                    name[1:-1]: part
                    for name, part in zip(known, parts, strict=True)
                    if name.startswith("{")
                }
        return None


def _values(template: str, parts: Values) -> Values:
    """The values of a path with their percent-encoding undone."""
    try:
        return {
            name: unquote(part, errors="strict")
            for name, part in parts.items()
        }
    except UnicodeDecodeError:
        raise Refusal(
            problem(
                400, Code.BAD_REQUEST, f"A value in {template} is not UTF-8."
            )
        ) from None


def _other_verb(request: Request, target: Target) -> Response:
    fields = (("Allow", target.allowed()),)
    if request.method == "OPTIONS":
        return Response(204, fields=fields)
    return problem(
        405,
        Code.UNKNOWN_METHOD,
        f"{target.template} takes {target.allowed()}.",
        fields,
    )
