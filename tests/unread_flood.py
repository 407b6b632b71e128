"""One user's connections that ask `unread(ack=true)` without end.

Run as a program of its own, so that it takes nothing from the one that
measures: endpoint, token, how many connections. It prints a line when
all have asked, and ends when its standard input does.
"""

import sys
import threading

import msgpack
import zmq

IN_FLIGHT = 2


def main() -> None:
    endpoint, token, count = sys.argv[1:]
    watch = threading.Thread(target=sys.stdin.read, daemon=True)
    watch.start()
    asked = msgpack.packb([0, 1, "unread", {"token": token, "ack": True}])
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 20_000)
    poller = zmq.Poller()
    made = []
    for _ in range(int(count)):
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(endpoint)
        poller.register(socket, zmq.POLLIN)
        made.append(socket)
    for socket in made * IN_FLIGHT:
        socket.send(asked)
    print("asked", flush=True)
    while watch.is_alive():
        for socket, _ in poller.poll(100):
            socket.recv()
            socket.send(asked)
    context.destroy(linger=0)


if __name__ == "__main__":
    main()
