"""What a 100 MB video of a customer costs: memory of worker and PHP, and time of PHP's requests.

Every part is a real process, on the real stack with ``--stack``, where the times are nginx's: each
internal request from its first byte to the last of its answer.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from bench.figures import publish
from simulator.embedded import EmbeddedInstallation
from simulator.installation import Installation
from simulator.stack.installation import StackInstallation
from simulator.stack.media_run import MediaRun, Peak

MB = 1024 * 1024
WAIT_S = 300.0
WARM = 20


def measure(installation: Installation, size: int, count: int) -> dict[str, Any]:
    run = MediaRun(installation)
    run.start()
    for number in range(WARM):  # what a process makes once has been made by all of PHP's
        run.send(100_000)
        if not run.wait(number + 1, WAIT_S):
            raise click.ClickException(f"the first files have not come: {run.rows()}")
    peaks = {name: Peak(pids) for name, pids in run.processes().items()}
    before = len(_requests(installation))
    started = time.monotonic()
    for _ in range(count):
        run.send(size)
    complete = run.wait(WARM + count, WAIT_S)
    seconds = time.monotonic() - started
    of_php = _requests(installation)[before:]
    return {
        "complete": complete,
        "files": count,
        "bytes": size * count,
        "seconds": round(seconds, 2),
        "mb_per_s": round(size * count / 1e6 / seconds, 1),
        "grown_mb": {name: round(peak.grown_bytes() / MB, 2) for name, peak in peaks.items()},
        "requests_to_php": len(of_php),
        "slowest_ms": {
            path: round(1000 * max(s for p, s in of_php if p == path))
            for path in sorted({path for path, _ in of_php})
        },
    }


def _requests(installation: Installation) -> list[tuple[str, float]]:
    """Return path and seconds of each call that PHP has answered, where nginx has them."""
    if not isinstance(installation, StackInstallation):
        return []
    lines = installation.nginx.internal_requests()
    return [(line["path"], float(line["seconds"])) for line in lines]


@click.command()
@click.option("--stack", is_flag=True, help="On nginx, PHP-FPM, Laravel, MariaDB and Redis.")
@click.option("--bytes", "size", default=100_000_000, show_default=True, help="Size of a file.")
@click.option("--count", default=1, show_default=True, help="Files, all at the same time.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
def main(stack: bool, size: int, count: int, json_file: Path | None) -> None:
    """Measure what fetching large media costs."""
    kind = StackInstallation if stack else EmbeddedInstallation
    with tempfile.TemporaryDirectory() as folder, kind(Path(folder)) as installation:
        figures = measure(installation, size, count)
    publish(figures, json_file)
    sys.exit(0 if figures["complete"] else 1)


if __name__ == "__main__":
    main()
