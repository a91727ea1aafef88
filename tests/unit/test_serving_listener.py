"""The server listens where nobody but its pod can reach it."""

from __future__ import annotations

import socket

import pytest

from verticalmodel.serving.listener import loopback_socket


def test_it_is_bound_to_one_loopback_address_and_no_other() -> None:
    """127.0.0.1 answers; 127.0.0.2, which a socket on every interface would answer on too, does not."""
    with loopback_socket(0) as listener:
        listener.listen()
        address, port = listener.getsockname()
        assert address == "127.0.0.1"
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=5)


def test_an_answer_of_two_writes_is_not_held_back() -> None:
    """Accepted connections have Nagle's algorithm off, whatever the event loop does with a socket it did not make."""
    with loopback_socket(0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname(), timeout=5), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_port_that_is_taken_is_an_error_that_leaks_nothing() -> None:
    """The reason is the system's own."""
    with loopback_socket(0) as first:
        first.listen()
        with pytest.raises(OSError, match="Address already in use"):
            loopback_socket(first.getsockname()[1])
