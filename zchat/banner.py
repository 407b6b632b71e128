"""What a person sees when the server has started."""

from zchat.config import Settings, reachable


def banner(settings: Settings) -> str:
    """Where everything is, and what to type next."""
    rpc, events = reachable(settings.rpc), reachable(settings.events)
    lines = [
        "zchat is running; Ctrl-C stops it.",
        "",
        f"  RPC     {rpc}",
        f"  events  {events}",
        f"  store   {settings.shown_store()}",
    ]
    server = "" if rpc == "tcp://127.0.0.1:8001" else f" --server {rpc}"
    following = [
        "Try next, in another terminal:",
        f"  zchat chat{server}",
    ]
    if not settings.no_http:
        http = f"http://{settings.host}:{settings.port}"
        lines.insert(2, f"  HTTP    {http}")
        following.append(f"  curl -X POST {http}/connect")
    following.append(
        f'  python -m zchat send "Hello, everyone!"{server}')
    return "\n".join([*lines, "", *following, ""])
