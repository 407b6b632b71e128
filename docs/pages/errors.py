"""The page of all error codes, from the enum in `zchat/errors.py`."""

from typing import Final

from docs.pages.codes import ALWAYS, codes_of
from zchat.errors import Code
from zchat.rpc.methods import METHODS

HEAD: Final = """\
# Error codes

This page comes from `zchat/errors.py`; `make docs` writes it.

An error has a `code`, a `message` that says what to do, and `data` with what a
program may want to know. Over HTTP it is `application/problem+json` (RFC
9457): `code` as here, the message under `detail`, and what `data` holds beside
them. A code is never renumbered and never used for anything else.

"""


def errors_page() -> str:
    """A table of the codes, and which methods answer each."""
    rows = "".join(
        f"| [`{code.wire}`](#{code.wire}) | {code.http} | {code.meaning} |\n"
        for code in Code
    )
    return (
        HEAD
        + f"| code | HTTP | when |\n|---|---|---|\n{rows}\n"
        + ("\n".join(map(_section, Code)))
    )


def _section(code: Code) -> str:
    return f"## {code.wire}\n\n{code.meaning} {_methods(code)}\n"


def _methods(code: Code) -> str:
    if code is Code.UNKNOWN_METHOD:
        return (
            "Over HTTP also: a path where nothing is (404), or a verb "
            "that the path does not take (405, with `Allow`)."
        )
    if code is Code.UNAVAILABLE:
        return (
            "Any method may answer it. Where `data.in_doubt` is true the "
            "change may have happened: repeat it with its "
            "`idempotency_key`, or look."
        )
    if code in ALWAYS:
        return "Any method may answer it."
    named = [method for method in METHODS if code in codes_of(method)]
    if len(named) > len(METHODS) - 3:
        return "Nearly any method may answer it."
    return (
        "Answered by "
        + ", ".join(
            f"[`{method.name}`](methods.md#{method.name})" for method in named
        )
        + "."
    )
