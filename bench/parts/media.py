"""What a customer's video of 100 MB costs on the real stack: memory of worker and PHP, and the time
of PHP's requests, which is nginx's: each from its first byte to the last of its answer."""

import time

from bench.context import Context, installed
from bench.figures import Figures
from simulator.stack.installation import StackInstallation
from simulator.stack.media_run import MediaRun, Peak

MB = 1024 * 1024
WAIT_S = 120.0
WARM = 20


def run(context: Context) -> Figures:
    size = context.size(100_000_000, 1_000_000)
    with installed(StackInstallation) as stack:
        media = MediaRun(stack)
        media.start()
        for number in range(WARM):  # what a process makes once has been made by all of PHP's
            media.send(100_000)
            _wait(media, number + 1)
        peaks = {name: Peak(pids) for name, pids in media.processes().items()}
        before = len(list(stack.nginx.internal_requests()))
        started = time.monotonic()
        media.send(size)
        _wait(media, WARM + 1)
        seconds = time.monotonic() - started
        of_php = list(stack.nginx.internal_requests())[before:]
        grown = {f"{name}_grown_mb": peak.grown_bytes() / MB for name, peak in peaks.items()}
    slowest = max(float(line["seconds"]) for line in of_php)
    return {
        "sidecar": {
            "seconds": seconds,
            "mb_per_s": size / 1e6 / seconds,
            "requests": len(of_php),
            "slowest_request_ms": slowest * 1000,
            **grown,
        }
    }


def _wait(media: MediaRun, stored: int) -> None:
    if not media.wait(stored, WAIT_S):
        raise RuntimeError(f"a file has not come: {media.rows()}")
