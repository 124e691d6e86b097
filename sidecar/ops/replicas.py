"""Whether Redis's replicas have what is written (``redis_replicas_in_sync``)."""

from collections.abc import Iterator

from sidecar.ops.problem import Code, Problem
from sidecar.ops.snapshot import Overview
from sidecar.settings import MissingReplicas, Settings

_HARM = {
    MissingReplicas.REFUSE: "Webhooks are answered with 503 and go to PHP, and nothing is sent",
    MissingReplicas.GO_ON: "What is acknowledged or sent now may be lost, or sent again, if Redis "
    "dies",
}


def lacking(overview: Overview, settings: Settings) -> str | None:
    """Return why too few have it: a process has met with it, or Redis says so. None if enough
    do."""
    wanted, there = settings.redis_replicas_in_sync, overview.redis.replicas
    if not wanted:
        return None
    said = next((one.replicas for one in overview.alive if one.replicas), None)
    return said or (f"{there} of {wanted} keep up" if there < wanted else None)


def replicas(overview: Overview, settings: Settings) -> Iterator[Problem]:
    """Return a problem if too few have it."""
    if (reason := lacking(overview, settings)) is not None:
        yield Problem(
            Code.REDIS_REPLICAS_MISSING,
            f"Too few of Redis's replicas have what is written: {reason}. "
            f"{_HARM[settings.redis_replicas_missing]}",
            "Start the replica, or look at its log, its disk and the network; INFO replication on "
            "the primary lists those that it has. All goes on by itself once they have it.",
        )
