"""How exactly a number's limit of 80/s is kept by several worker processes, each with its own
campaign.

A real Redis, the embedded backend, the simulated Cloud API, which counts and allows exactly the
limit, and as many workers as campaigns, all of one number.
"""

import time

from bench.context import Context, installed
from bench.figures import Figures
from bench.receivers import ReceiverInstallation
from bench.webhooks import PHONE_NUMBER_ID
from simulator.cloud_api.throughput import Throughput
from simulator.control import lines, read
from simulator.processes import Process, ProcessFailed

RATE, WORKERS = 80.0, 4
#: Counting begins so long after the last campaign has begun.
WARM_UP_S = 2.0
#: The campaigns do not begin at the same moment, and each must last to the end.
SPARE_S = 30.0
START_TIMEOUT_S = 60.0


def run(context: Context) -> Figures:
    seconds = context.size(15.0, 1.0)
    messages = int(RATE * (seconds / WORKERS + SPARE_S))
    with installed(ReceiverInstallation) as installation:
        installation.start_redis()
        installation.start_backend()
        [vendor] = installation.seed_vendors(
            phone_number_ids=[PHONE_NUMBER_ID], messages_per_second=RATE
        )
        campaigns = [
            installation.seed_campaign(vendor.uid, messages, paused=False) for _ in range(WORKERS)
        ]
        cloud_api = installation.start_cloud_api(
            *("--phone-number-id", PHONE_NUMBER_ID, "--rate", str(RATE))
        )
        installation.configure(campaign_concurrency=1)
        for worker in range(WORKERS):
            installation.start_worker("campaigns", name=f"worker-{worker}")
        rows = {row: place for place, c in enumerate(campaigns) for row in c.row_uids}
        begin = _when_all_send(cloud_api, rows) + WARM_UP_S
        time.sleep(max(0.0, begin + seconds + 1 - time.time()))
        sent = lines(cloud_api, "messages")
        report = read(cloud_api, "report")
    return {"sidecar": _figures(sent, rows, begin, seconds) | _report(report)}


def _figures(
    sent: list[dict[str, object]], rows: dict[str, int], begin: float, seconds: float
) -> dict[str, float]:
    times = [float(str(one["accepted_at"])) / 1000 for one in sent]
    throughput = Throughput()
    for at in times:
        throughput.record(at)
    shares = [0] * WORKERS
    for one, at in zip(sent, times, strict=True):
        if begin <= at < begin + seconds:
            shares[rows[str(one["callback_data"])]] += 1
    return {
        "accepted_per_s": sum(shares) / seconds,
        "worst_second": throughput.worst_second,
        "least_share_percent": 100 * min(shares) / sum(shares),
        "most_share_percent": 100 * max(shares) / sum(shares),
    }


def _report(report: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    return {"throttled": report["numbers"][PHONE_NUMBER_ID]["throttled"]}


def _when_all_send(cloud_api: Process, rows: dict[str, int]) -> float:
    """Wait until every campaign has begun, and return when the last one did."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        begun: dict[int, float] = {}
        for one in lines(cloud_api, "messages"):
            begun.setdefault(rows[one["callback_data"]], one["accepted_at"] / 1000)
        if len(begun) == WORKERS:
            return max(begun.values())
        time.sleep(0.5)
    raise ProcessFailed(f"not all campaigns have begun within {START_TIMEOUT_S:.0f} s")
