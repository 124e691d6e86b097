"""The reference application's two crons.

They run more often than its scheduler has it, every five seconds for campaigns, so that a rehearsal
need not wait for them.
"""

import threading
from collections.abc import Sequence

from simulator.stack.application import Application

#: The command of each, and its interval in seconds.
CRONS = {("campaign:send",): 1.0, ("webhook:process",): 0.5}


class Crons:
    """Run until :meth:`stop`; each waits for its own last run, as ``withoutOverlapping`` has it."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(command, interval_s), daemon=True)
            for command, interval_s in CRONS.items()
        ]
        #: What a run has said that did not end well.
        self.failures: list[str] = []
        self.running = False

    def start(self) -> None:
        self.running = True
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Comment their lines out: what runs ends, and nothing is begun."""
        self.running = False
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, command: Sequence[str], interval_s: float) -> None:
        while not self._stop.is_set():
            done = self._application.artisan(*command)
            if done.returncode != 0:
                self.failures.append(f"{' '.join(command)}: {done.stdout}{done.stderr}"[:2000])
            self._stop.wait(interval_s)
