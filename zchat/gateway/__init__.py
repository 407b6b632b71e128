"""HTTP/1.1 in front of a broker; routes come from the method table."""

from zchat.gateway.process import run_gateway

__all__ = ["run_gateway"]
