"""What a process says of itself, in words: what it holds, and what troubles it."""

from collections.abc import Iterator, Sequence

from contracts.jobs import Queue
from sidecar.format import duration, many
from sidecar.ops.process_problems import CLOCK_S
from sidecar.ops.processes import Process

#: Leases that are named; of more, how many there are.
MAX_LEASES = 5
#: Troubles of one kind that are named.
MAX_NAMED = 3


def held(process: Process) -> str:
    """Return the names of the leases that a process holds: lanes, campaigns, vendors' effects."""
    names = sorted(process.leases)
    more = len(names) - MAX_LEASES
    return ", ".join(names[:MAX_LEASES]) + (f" and {more:,} more" if more > 0 else "")


def troubles(process: Process, now: int) -> list[str]:
    """Return what is wrong as this process sees it. ``now``: Redis's clock, unix ms."""
    kinds = (
        [f"PHP does not take {lane}: {why}" for lane, why in process.breakers.items()],
        [
            f"PHP fails on {lane} of vendor {vendor_uid}: {why}"
            for lane, vendors in process.isolated.items()
            for vendor_uid, why in vendors.items()
        ],
        [f"PHP fails on each call of {path}: {why}" for path, why in process.php_failures.items()],
        [f"AIs of vendor {uid} answer nothing: {why}" for uid, why in process.ai_failures.items()],
        [
            f"nobody sends campaign {uid}: workers have been woken for {duration(seconds)}"
            for uid, seconds in process.in_vain.items()
        ],
        [
            f"nobody sends {many(messages, 'message that stands', 'messages that stand')} pending "
            "in PHP's log"
            for messages in [process.unasked.get("messages", 0)]
            if messages
        ],
        [
            f"the Cloud API takes {duration(seconds)} to answer for {number}"
            for number, seconds in process.slow.items()
        ],
    )
    found = [words for kind in kinds for words in _first(kind)]
    if process.php_away:
        found.append("PHP does not answer it: others do its work, if there are any")
    if process.wakeups:
        found.append(f"it can wake no worker: {process.wakeups}")
    ahead_s = process.ahead_s(now)
    if process.alive and abs(ahead_s) > CLOCK_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        found.append(f"its clock is {duration(abs(ahead_s))} {way} Redis's")
    return found


def together(processes: Sequence[Process]) -> Iterator[str]:
    """Return what is wrong with the processes as a whole."""
    alive = [process for process in processes if process.alive]
    if not any(process.role == "serve" for process in alive):
        yield "No serve runs: webhooks go to PHP."
    served = {queue for process in alive for queue in process.queues}
    if missing := [queue.value for queue in Queue if queue not in served]:
        yield f"No worker runs for {', '.join(missing)}: their work waits."
    versions = sorted({process.version or "unknown" for process in alive})
    if len(versions) > 1:
        yield f"Different versions run: {', '.join(versions)}. Restart those that are older."


def _first(words: list[str]) -> list[str]:
    more = len(words) - MAX_NAMED
    return words if more <= 0 else [*words[:MAX_NAMED], f"and {more:,} more of the kind"]
