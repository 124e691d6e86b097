"""What is wrong with the sidecar's own processes, and with what wakes and reaches them."""

from collections import Counter
from collections.abc import Iterator

from sidecar.format import duration
from sidecar.ops.message_problems import missing_queues
from sidecar.ops.problem import Code, Problem, named
from sidecar.ops.processes import Process
from sidecar.ops.reach import FULL
from sidecar.ops.report import Report
from sidecar.ops.snapshot import Overview

#: A process that died longer ago is history.
RECENT_S = 600.0
#: One that died and was started again is no problem; so many of a kind that did are.
KEEPS_DYING = 3
#: Clocks differ by more than a machine's that is set by NTP, or than what is on its way.
CLOCK_S = 10.0


def processes(report: Report) -> Iterator[Problem]:
    """Return what does not run, and what died."""
    overview = report.overview
    if not any(process.role == "serve" for process in overview.alive):
        yield Problem(
            Code.SERVE_NOT_RUNNING,
            "sidecar serve is not running: webhooks go to PHP",
            "Start it: systemctl start sidecar, or sidecar serve.",
        )
    if missing := missing_queues(report):
        yield Problem(
            Code.WORKER_NOT_RUNNING,
            f"No worker is running for {', '.join(missing)}: their work waits",
            f"Start one: systemctl start sidecar-worker, or sidecar worker {' '.join(missing)}.",
        )
    dead, replaced = _dead(overview)
    for process in dead:
        yield Problem(
            Code.PROCESS_SILENT,
            f"The {process.role} {process.name} has been silent for "
            f"{duration(process.heartbeat_age_s)}: it was killed, or hangs",
            "The others take over its work. Check its log, and the kernel's for the OOM killer.",
            subject=process.name,
        )
    for (role, host), times in Counter((one.role, one.host) for one in replaced).items():
        if times >= KEEPS_DYING:
            yield Problem(
                Code.PROCESS_SILENT,
                f"{times} {role} processes on {host} have died within "
                f"{duration(RECENT_S)}, and were started again",
                "Check their log, and the kernel's for the OOM killer.",
                subject=f"{role}@{host}",
            )


def clocks(report: Report) -> Iterator[Problem]:
    """Return a problem for processes whose clocks differ from Redis's."""
    overview = report.overview
    ahead = [(one, one.ahead_s(overview.now)) for one in overview.alive]
    wrong = {f"{one.role} {one.name}": s for one, s in ahead if abs(s) > CLOCK_S}
    if not wrong:
        return
    worst = max(wrong.values(), key=abs)
    way = "ahead of" if worst > 0 else "behind"
    yield Problem(
        Code.CLOCKS_DIFFER,
        f"The clock of {named(sorted(wrong))} is {way} Redis's, by {duration(abs(worst))}",
        "Have NTP set the clocks of all machines (timedatectl, chronyc tracking), Redis's and "
        "PHP's too. Signed calls are refused if they differ by more than signing_window_s.",
    )


def _dead(overview: Overview) -> tuple[list[Process], list[Process]]:
    """Return who has died lately without a successor, and who has one: of the same kind, started
    since."""
    free = list(overview.alive)
    dead: list[Process] = []
    replaced: list[Process] = []
    for process in overview.processes:
        if process.alive or process.heartbeat_age_s >= RECENT_S:
            continue
        died_at = overview.now - process.heartbeat_age_s * 1000
        heir = next((one for one in free if one.since > died_at and _alike(one, process)), None)
        if heir is None:
            dead.append(process)
        else:
            free.remove(heir)
            replaced.append(process)
    return dead, replaced


def _alike(one: Process, other: Process) -> bool:
    return (one.role, one.host, one.queues) == (other.role, other.host, other.queues)


def ways_in(report: Report, *, redis_full: bool) -> Iterator[Problem]:
    """Return what keeps wake-ups from the workers, and webhooks from coming in. A Redis that is
    full is full for its other databases, too, and was named."""
    said = {p.wakeups: p for p in report.overview.alive if p.wakeups}
    reason = report.reached.dramatiq
    if reason is None and said:
        first = next(iter(said))
        reason = f"{first} (the {said[first].role} {said[first].name} says so)"
    if reason is not None and not (redis_full and _is_full(reason)):
        yield Problem(
            Code.DRAMATIQ_UNAVAILABLE,
            f"The Redis database of the wake-ups (Dramatiq) cannot be used: {reason}",
            "Start it, make room, or check dramatiq_redis_url (not set: the next database of "
            "redis_url). Nothing is lost: webhooks and campaigns wait, and begin late.",
        )
    if (reason := report.reached.public) is not None:
        yield Problem(
            Code.PUBLIC_URL_UNAVAILABLE,
            f"The public address (public_url) does not answer as it should: {reason}",
            "Check that nginx runs, and its error log. Meta sends webhooks again for days, but "
            "they come late. If only this machine cannot reach it: sidecar check --deep says more.",
        )


def _is_full(reason: str) -> bool:
    return reason.startswith(FULL) or "OOM" in reason
