"""zchat: a chat server that is a ZeroMQ broker."""

__version__ = "0.1.0"
