"""How exactly a number's limit is kept by several worker processes, each with its own campaign.

A real Valkey, the embedded backend, the simulated Cloud API, which counts and allows exactly the
limit, and as many workers as campaigns, all of one number.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from bench.figures import publish
from simulator.cloud_api.throughput import Throughput
from simulator.control import lines, read
from simulator.embedded import EmbeddedInstallation
from simulator.processes import Process

NUMBER = "106540352242922"
#: Counting begins so long after the last campaign has begun.
WARM_UP_S = 2.0
#: The campaigns do not begin at the same moment, and each must last to the end.
SPARE_S = 30.0
START_TIMEOUT_S = 60.0
#: What the issue asks for, at a limit of 80: the average, and the most in any second.
LEAST, MOST, WORST = 78.4 / 80, 1.0, 81 / 80


def measure(folder: Path, rate: float, seconds: float, workers: int) -> dict[str, Any]:
    with EmbeddedInstallation(folder) as installation:
        installation.start_redis()
        installation.start_backend()
        [vendor] = installation.seed_vendors(phone_number_ids=[NUMBER], messages_per_second=rate)
        messages = int(rate * (seconds / workers + SPARE_S))
        campaigns = [
            installation.seed_campaign(vendor.uid, messages, paused=False) for _ in range(workers)
        ]
        cloud_api = installation.start_cloud_api(
            *("--phone-number-id", NUMBER, "--rate", str(rate))
        )
        installation.configure(campaign_concurrency=1)
        for worker in range(workers):
            installation.start_worker("campaigns", name=f"worker-{worker}")
        rows = {row: place for place, c in enumerate(campaigns) for row in c.row_uids}
        begin = _when_all_send(cloud_api, rows, workers) + WARM_UP_S
        time.sleep(max(0.0, begin + seconds + 1 - time.time()))
        sent = lines(cloud_api, "messages")
        report = read(cloud_api, "report")
        cpu = {name: round(p.cpu_s(), 1) for name, p in installation.processes.items()}
    counted = [one for one in sent if begin <= one["accepted_at"] / 1000 < begin + seconds]
    throughput = Throughput()
    for one in sent:
        throughput.record(one["accepted_at"] / 1000)
    shares = [0] * workers
    for one in counted:
        shares[rows[one["callback_data"]]] += 1
    return {
        "limit_per_s": rate,
        "workers": workers,
        "accepted_per_s": round(len(counted) / seconds, 2),
        "worst_second": throughput.worst_second,
        "throttled": report["numbers"][NUMBER]["throttled"],
        "sent_twice": report["sent_twice"],
        "shares_percent": [round(100 * share / len(counted), 1) for share in shares],
        "cpu_s": cpu,
    }


def _when_all_send(cloud_api: Process, rows: dict[str, int], workers: int) -> float:
    """Wait until every campaign has begun, and return when the last one did."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        begun: dict[int, float] = {}
        for one in lines(cloud_api, "messages"):
            begun.setdefault(rows[one["callback_data"]], one["accepted_at"] / 1000)
        if len(begun) == workers:
            return max(begun.values())
        time.sleep(0.5)
    raise click.ClickException(f"not all campaigns have begun within {START_TIMEOUT_S:.0f} s")


@click.command()
@click.option("--rate", default=80.0, show_default=True, help="The number's limit, messages/s.")
@click.option("--seconds", default=60.0, show_default=True, help="How long is counted.")
@click.option("--workers", default=4, show_default=True, help="Worker processes, and campaigns.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
def main(rate: float, seconds: float, workers: int, json_file: Path | None) -> None:
    """Send from one number with several workers, and count how exactly its limit is kept."""
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), rate, seconds, workers)
    publish(figures, json_file)
    kept = (
        rate * LEAST <= figures["accepted_per_s"] <= rate * MOST
        and figures["worst_second"] <= rate * WORST
        and figures["throttled"] == 0
    )
    if not kept:
        print(
            f"the limit of {rate:g}/s asks for {rate * LEAST:g} to {rate * MOST:g} messages/s, at "
            f"most {rate * WORST:g} in any second, and none throttled",
            file=sys.stderr,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
