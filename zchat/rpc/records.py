"""Requests and answers on a stream between a broker and its own gateway.

A gateway that its broker started speaks with it over a pair of sockets
(docs/decisions/0051-the-gateways-own-stream.md). A stream has no frames,
so each message is a record: the sizes of the lane and the body (2 and 4
bytes, big-endian), the lane, the body. The lane of an answer is empty.
"""

from struct import Struct
from typing import Final

_SIZES: Final = Struct(">HI")
_HEAD_BYTES: Final = _SIZES.size


Record = tuple[bytes, bytes]
"""One message: the lane it keeps its order in, and its body."""


def record(lane: bytes, body: bytes) -> bytes:
    """One message as it travels."""
    return _SIZES.pack(len(lane), len(body)) + lane + body


class RecordReader:
    """Takes whole records off bytes that come in pieces of any size.

    A body may have `most_bytes` bytes.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held = bytearray()
        self._wanted_bytes = 0

    def feed(self, data: bytes) -> list[Record]:
        """The records that are complete now; raises ValueError for one
        that is too large, and is then done with.
        """
        if self._held:
            self._held += data
            if len(self._held) < self._wanted_bytes:
                return []
            data = bytes(self._held)
        records, taken = self._split(data)
        self._held = bytearray(data[taken:])
        return records

    def _split(self, data: bytes) -> tuple[list[Record], int]:
        """The whole records in `data`, and where the rest begins."""
        records = []
        begin, end = 0, len(data)
        self._wanted_bytes = _HEAD_BYTES
        while begin + _HEAD_BYTES <= end:
            lane_bytes, body_bytes = _SIZES.unpack_from(data, begin)
            if body_bytes > self._most_bytes:
                raise ValueError(f"a record of {body_bytes} bytes")
            lane_begin = begin + _HEAD_BYTES
            body_begin = lane_begin + lane_bytes
            body_end = body_begin + body_bytes
            if body_end > end:
                self._wanted_bytes = body_end - begin
                break
            records.append(
                (data[lane_begin:body_begin], data[body_begin:body_end])
            )
            begin = body_end
        return records, begin
