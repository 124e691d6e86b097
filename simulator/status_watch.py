"""``sidecar status`` again and again beside something that runs."""

import os
import subprocess
import threading
import time
from typing import Any, Self

import orjson

from simulator.installation import Installation
from simulator.processes import python

EVERY_S = 5.0


class StatusWatch:
    """Use as a context manager. ``looks`` counts, ``longest_s`` is how long one look took at most,
    and ``wrong`` says what was wrong, with the second of it."""

    def __init__(self, installation: Installation, every_s: float = EVERY_S) -> None:
        self._environment = {**os.environ, **installation.environment}
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status watch")
        self.looks = 0
        self.longest_s = 0.0
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def as_dict(self) -> dict[str, Any]:
        return {"looks": self.looks, "longest_s": round(self.longest_s, 2), "wrong": self.wrong}

    def _run(self) -> None:
        began = time.monotonic()
        while not self._over.wait(self._every_s):
            looked = time.monotonic()
            done = subprocess.run(
                python("sidecar.commands.main", "status", "--json"),
                env=self._environment,
                capture_output=True,
                check=False,
            )
            self.looks += 1
            self.longest_s = max(self.longest_s, time.monotonic() - looked)
            if done.returncode:
                at = f"{looked - began:.0f} s: exit code {done.returncode}"
                self.wrong += [f"{at}, {one}" for one in _problems(done.stdout)] or [at]


def _problems(answer: bytes) -> list[str]:
    try:
        return [f"[{one['code']}] {one['what']}" for one in orjson.loads(answer)["problems"]]
    except (orjson.JSONDecodeError, KeyError):
        return []
