"""How many pages of this process are live: each has a stream, and takes a connection and reads."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

#: Streams at once, of a session and of all. Pages that nobody sees have none.
MAX_OF_SESSION = 8
MAX_OF_ALL = 50


class Streams:
    """Counts those that are open, by session."""

    def __init__(self) -> None:
        self._open = Counter[str]()

    def full(self, session: str) -> bool:
        """Tell whether one more of this session is too many."""
        return self._open[session] >= MAX_OF_SESSION or self._open.total() >= MAX_OF_ALL

    @contextmanager
    def counted(self, session: str) -> Iterator[None]:
        """Count one as open inside the block."""
        self._open[session] += 1
        try:
            yield
        finally:
            self._open -= Counter((session,))  # none is kept of whom there is none
