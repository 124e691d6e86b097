"""How many streams are open, of a session and of all."""

from contextlib import ExitStack

import pytest

from sidecar.console.streams import MAX_OF_ALL, MAX_OF_SESSION, Streams


def test_of_a_session_and_of_all() -> None:
    streams = Streams()
    with ExitStack() as stack:
        for number in range(MAX_OF_ALL):
            session = f"session {number // MAX_OF_SESSION}"
            assert not streams.full(session)
            stack.enter_context(streams.counted(session))
            assert streams.full("session 0") is (number + 1 >= MAX_OF_SESSION)
        assert streams.full("another")
    assert not streams.full("session 0")


def test_one_that_has_ended_makes_room_however_it_did() -> None:
    streams = Streams()
    for _ in range(3 * MAX_OF_SESSION):
        with pytest.raises(ConnectionError), streams.counted("session"):
            raise ConnectionError
    assert not streams.full("session")
