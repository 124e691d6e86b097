"""What ``sidecar status --json`` and ``GET /metrics`` say while an outage comes and goes."""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, Self

import click
import httpx
import orjson

from simulator.installation import Installation
from simulator.processes import python

#: The gauge of numbers for which the Cloud API does not work.
_DOWN = "sidecar_cloud_api_down "
_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Look:
    """What was told in the time from ``asked_at`` to ``told_at`` (unix seconds): first the metric,
    at ``measured_at``, then the command's exit code and answer."""

    asked_at: float
    told_at: float
    exit_code: int
    answer: dict[str, Any]
    metric: float | None
    measured_at: float

    def names(self, codes: Sequence[str], number: str) -> bool:
        """Tell whether one of these problems is named for the number, and is wrong enough for the
        exit code."""
        problems = self.answer["problems"]
        named = any(one["code"] in codes and number in one["what"] for one in problems)
        return named and self.exit_code == 1

    def sends(self, vendor_uid: str) -> dict[str, int]:
        """Return the accounting of a vendor's rows."""
        found: dict[str, int] = self.answer["accounting"]["vendors"][vendor_uid]["sends"]
        return found


@dataclass
class Watch:
    """Looks again and again, on a thread, while the context is open."""

    installation: Installation
    looks: list[Look] = field(default_factory=list)
    _done: Event = field(default_factory=Event)
    _thread: Thread | None = None

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def named_at(self, codes: Sequence[str], number: str, since: float) -> float | None:
        """Return when the number's outage was named first, in unix seconds."""
        found = (one for one in self.looks if one.told_at >= since and one.names(codes, number))
        return next((one.told_at for one in found), None)

    def over_at(self, codes: Sequence[str], number: str, since: float) -> float | None:
        """Return when it was first not named any more, of the looks that began after ``since``."""
        after = (one for one in self.looks if one.asked_at >= since)
        return next((one.told_at for one in after if not one.names(codes, number)), None)

    def measured_at(self, since: float) -> float | None:
        """Return when the metric first told of a number that is down."""
        found = (one for one in self.looks if one.measured_at >= since and one.metric)
        return next((one.measured_at for one in found), None)

    def _run(self) -> None:
        while not self._done.wait(_PAUSE_S):
            try:
                self.looks.append(look(self.installation))
            except (httpx.HTTPError, subprocess.TimeoutExpired, orjson.JSONDecodeError) as error:
                # Nothing was told; the next look may tell it.
                click.echo(f"status could not be read: {error!r}", err=True)


def look(installation: Installation) -> Look:
    """Ask once. Answers that cannot be read are errors."""
    asked_at = time.time()
    metric = _metric(installation)
    measured_at = time.time()
    done = subprocess.run(
        [*python("sidecar.commands.main"), "status", "--json"],
        env={**os.environ, **installation.environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    answer = orjson.loads(done.stdout)
    return Look(asked_at, time.time(), done.returncode, answer, metric, measured_at)


def _metric(installation: Installation) -> float | None:
    url = f"{installation.processes['sidecar'].url}/metrics"
    answer = httpx.get(url, trust_env=False, timeout=60.0)
    for line in answer.text.splitlines():
        if line.startswith(_DOWN):
            return float(line.removeprefix(_DOWN))
    return None
