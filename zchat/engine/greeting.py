"""What a person sees when the server has started."""

import os
import shutil
import sys
from pathlib import Path

from zchat.config import Settings, reachable

INSECURE = (
    "Warning: --insecure lets other machines connect without encryption. "
    "Anyone on the way can read tokens and messages.\n"
)
RPC_BY_DEFAULT = "tcp://127.0.0.1:8001"


def greeting(settings: Settings) -> str:
    """Where everything is, and what to type next."""
    rpc, events = reachable(settings.rpc), reachable(settings.events)
    scheme = "http" if settings.tls_cert is None else "https"
    http = f"{scheme}://{settings.host}:{settings.port}"
    server = "" if rpc == RPC_BY_DEFAULT else f" --server {rpc}"
    places = [
        f"  Open    {http}/",
        f"  RPC     {rpc}",
        f"  events  {events}",
        f"  store   {settings.shown_store()}",
    ]
    lines = [
        f"  {program()} chat{server}",
        f"  curl -X POST {http}/connect",
        "  python hello.py    # ten lines of pyzmq, from README.md",
    ]
    if settings.no_http:
        del places[0], lines[1]
    is_plain = settings.insecure and settings.curve_keys is None
    warnings = [INSECURE] if is_plain else []
    return "\n".join(
        [
            *warnings,
            "zchat is running; Ctrl-C stops it.",
            "",
            *places,
            "",
            "Try next, in another terminal:",
            *lines,
            "",
        ]
    )


def program() -> str:
    """How the command is called from the working folder."""
    if shutil.which("zchat"):
        return "zchat"
    beside = Path(sys.executable).with_name("zchat")
    if beside.exists():
        return os.path.relpath(beside)
    return f"{os.path.relpath(sys.executable)} -m zchat"
