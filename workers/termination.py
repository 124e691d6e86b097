"""Waiting to be told to end."""

import os
import signal


class Termination:
    """Catches SIGTERM and SIGINT from its creation on. Create it in the main thread.

    The interpreter writes the signal into a pipe as it comes. A Python handler runs only when the
    main thread executes bytecode again; a signal just before it goes to sleep would wait forever.
    """

    def __init__(self) -> None:
        self._told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Return when the first has come. Ctrl-C then ends the process at once."""
        os.read(self._told, 1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
