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
        f"  RPC     {rpc}",
        f"  events  {events}",
        f"  store   {settings.shown_store()}",
    ]
    lines = [f"  {program()} chat{server}"]
    first = "zchat is running; Ctrl-C stops it."
    if not settings.no_http:
        first = f"Open {http}/ in a browser. Ctrl-C here stops zchat."
        lines.append(f"  curl -X POST {http}/connect")
    is_plain = settings.insecure and settings.curve_keys is None
    warnings = [INSECURE] if is_plain else []
    return "\n".join(
        [
            *warnings,
            first,
            "",
            *places,
            "",
            "Or, in another terminal:",
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
