"""Whether an address that gives no answer speaks HTTP."""

import asyncio
from typing import Final

_SECONDS: Final = 2.0
_REQUEST: Final = b"GET /healthz HTTP/1.0\r\n\r\n"


async def speaks_http(endpoint: str) -> bool:
    """Whether a server at this tcp:// endpoint answers HTTP."""
    if not endpoint.startswith("tcp://"):
        return False
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(
                host.strip("[]"), int(port)
            )
            try:
                writer.write(_REQUEST)
                return (await reader.read(5)) == b"HTTP/"
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
