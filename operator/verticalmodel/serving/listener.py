"""The server's socket: on the loopback interface and nowhere else."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


def loopback_socket(port: int) -> socket.socket:
    """A TCP socket bound to 127.0.0.1, to be listened on; port 0 takes a free one. Raises OSError when it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by every connection. The event loop sets it only on sockets it made itself, and without it an answer
        # of two writes waits for the other side's delayed acknowledgement: 40 ms on each request.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((LOOPBACK, port))
    except OSError:
        listener.close()
        raise
    return listener
