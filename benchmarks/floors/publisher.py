"""A ROUTER and an XPUB that publish each request as it is: W3's floor."""

import sys
from typing import Any

import msgpack
import zmq


def main() -> None:
    """Publish until killed: RPC endpoint, events endpoint, topic (hex)."""
    context: zmq.Context[Any] = zmq.Context.instance()
    requests = context.socket(zmq.ROUTER)
    requests.bind(sys.argv[1])
    events = context.socket(zmq.XPUB)
    events.setsockopt(zmq.SNDHWM, 10_000)
    events.bind(sys.argv[2])
    topic = bytes.fromhex(sys.argv[3])
    poller = zmq.Poller()
    poller.register(requests, zmq.POLLIN)
    poller.register(events, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if requests in ready:
            frames = requests.recv_multipart()
            msgpack.unpackb(frames[-1])
            events.send_multipart([topic, frames[-1]])
            requests.send_multipart(frames)
        if events in ready:
            subscription = events.recv()
            if subscription[1:2] == b"b":
                events.send_multipart([subscription[1:], b""])


if __name__ == "__main__":
    main()
