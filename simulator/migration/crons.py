"""The reference application's two crons.

They run more often than its scheduler has it, every five seconds for campaigns, so that a rehearsal
need not wait for them; and not where no row waits, for then each only starts PHP.
"""

import threading
from collections.abc import Sequence

from simulator.stack.installation import StackInstallation

#: The command of each, what it works on, and how long it waits after a run, in seconds.
CRONS = {
    ("campaign:send",): ("whatsapp_message_queue WHERE status IN (1, 3)", 1.0),
    ("webhook:process",): ("whatsapp_webhook_queue WHERE status = 'pending'", 0.5),
}
_POLL_S = 0.2


class Crons:
    """Run until :meth:`stop`; each waits for its own last run, as ``withoutOverlapping`` has it."""

    def __init__(self, installation: StackInstallation) -> None:
        self._installation = installation
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(command, rows, wait_s), daemon=True)
            for command, (rows, wait_s) in CRONS.items()
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

    def _run(self, command: Sequence[str], rows: str, wait_s: float) -> None:
        while not self._stop.is_set():
            if not self._installation.database.rows(f"SELECT 1 FROM {rows} LIMIT 1"):
                self._stop.wait(_POLL_S)
                continue
            done = self._installation.application.artisan(*command)
            if done.returncode != 0:
                self.failures.append(f"{' '.join(command)}: {done.stdout}{done.stderr}"[:2000])
            self._stop.wait(wait_s)
