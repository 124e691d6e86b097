"""Waiting to be told to end."""

import os
import signal


class Termination:
    """Notices SIGTERM and SIGINT from when it is made on; made by the main thread.

    The interpreter writes the signal into a pipe as it comes. A handler of Python's own would not
    do: it is called when the main thread executes something again, which it does no more if the
    signal came just before it went to sleep.
    """

    def __init__(self) -> None:
        self._told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Return when the first has come."""
        os.read(self._told, 1)
