"""A campaign on two hosts, one of which is killed or cut off in the middle of it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx

from contracts import sidecar_api as api
from simulator import control
from simulator.chaos.evidence import Evidence, collect
from simulator.chaos.fault import Fault, Kind
from simulator.chaos.history import Logs, write_history
from simulator.chaos.hosts import wire
from simulator.chaos.hosts.figures import Rates, doors, rates
from simulator.chaos.hosts.host import Host
from simulator.chaos.hosts.stage import CUSTOMERS_PER_S, PORT, HostsStage, HostsWork
from simulator.chaos.injector import Injected
from simulator.chaos.quiescence import wait_for_quiescence
from simulator.chaos.verdict import Verdict
from simulator.processes import ProcessFailed

#: How much of its rate the number has to keep, but for the seconds of a takeover.
LEAST_SHARE = 0.98
#: A host is in trouble when so much of the campaign is sent.
_SENT_BEFORE = 0.3
#: Without any progress for so long, nothing more is to come.
_STALLED_S = 60.0
_REST_S = 60.0
_POLL_S = 0.05
#: Between two of PHP's calls.
_CALLS_S = 0.2
#: A trouble that lasts for longer is to be named: by then a silent process is.
_NAMED_S = 12.0


class Trouble(StrEnum):
    #: Every process of the host is killed, and its cable pulled.
    KILLED = "killed"
    #: Its cable is pulled, and it knows nothing of it.
    ALONE = "alone"
    #: It reaches everything but one, or (nginx) is not reached.
    NO_REDIS = "no-redis"
    NO_PHP = "no-php"
    NO_NGINX = "no-nginx"


@dataclass
class _Calls:
    """PHP's calls to whichever host nginx finds."""

    stage: HostsStage
    made: int = 0
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._call, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _call(self, over: threading.Event) -> None:
        while not over.wait(_CALLS_S):
            self.made += 1
            try:
                control.call_sidecar(self.stage.door, api.PING, self.stage.key)
            except httpx.HTTPError as error:
                self.failed.append(str(error))


def run_trouble(
    stage: HostsStage,
    trouble: Trouble,
    *,
    seed: int,
    messages: int,
    for_s: float,
    histories: Path,
    rate: float,
    least_share: float = LEAST_SHARE,
) -> tuple[dict[str, Any], bool]:
    """Send a campaign, and have the host that sends it be in trouble for so long. Return what came
    of it, and whether the promises were kept."""
    started = time.monotonic()
    logs = Logs(stage.installation.folder)
    log = stage.installation.nginx.access_log
    log_begins = log.stat().st_size
    work = HostsWork(stage, messages, rate, seed)
    work.begin()
    number = work.vendors[0].phone_number_ids[0]
    more = {"count": int(CUSTOMERS_PER_S * (messages / rate + for_s)), "per_s": CUSTOMERS_PER_S}
    stage.order("inbound", {"phone_number_id": number, **more})
    [campaign] = work.campaigns
    victim = _sender(stage, campaign.uid, int(messages * _SENT_BEFORE))
    calls, began_at = _Calls(stage), time.time()
    with calls.going_on(), _in_trouble(stage, victim, trouble):
        time.sleep(for_s)
        named = _named(stage, victim) if for_s > _NAMED_S else None
    fault = Fault(0.0, Kind.CRASH, stage.parts_of(victim)[1], for_s, how=trouble.value)
    injected = [Injected(fault, began_at, time.time())]
    rested = wait_for_quiescence(stage, work, _REST_S)
    evidence = collect(stage, work, injected, rate=rate, ended=stage.ended(), rested=rested)
    verdict = Verdict(evidence)
    measured = rates(*_sent_at(evidence), began_at)
    line = {
        "trouble": trouble.value,
        "host": victim.name,
        "for_s": for_s,
        **verdict.line(),
        **_figures(stage, measured, number),
        **doors(log, log_begins),
        "php_calls": calls.made,
        "php_calls_failed": len(calls.failed),
        "named": named,
        "seconds": round(time.monotonic() - started, 1),
    }
    found = broken(line, measured, least_share * rate, rate)
    if verdict.violations or found:
        folder = histories / f"{trouble.value}-{seed}"
        line |= {"broken": found, "history": str(write_history(folder, line, verdict, logs))}
    return line, not (verdict.violations or found)


def _sender(stage: HostsStage, campaign_uid: str, sent: int) -> Host:
    """Wait until so many messages are sent, and return the host that sends the campaign."""
    last, changed_at = -1, time.monotonic()
    while time.monotonic() - changed_at < _STALLED_S:
        now = stage.ask("report")["accepted"]
        if now >= sent and (host := stage.sender(campaign_uid)):
            return host
        if now != last:
            last, changed_at = now, time.monotonic()
        time.sleep(_POLL_S)
    raise ProcessFailed(f"{sent} messages are not sent, or nobody says who sends them")


@contextmanager
def _in_trouble(stage: HostsStage, host: Host, trouble: Trouble) -> Iterator[None]:
    installation = stage.installation
    host.cut(
        {
            Trouble.NO_REDIS: installation.processes["redis"].port,
            Trouble.NO_PHP: installation.nginx.internal_port,
            Trouble.NO_NGINX: PORT,
        }.get(trouble, wire.ALL)
    )
    if trouble is Trouble.KILLED:
        for name in stage.parts_of(host):
            installation.crash(name)
    try:
        yield
    finally:
        host.cut()
        if trouble is Trouble.KILLED:
            for name in stage.parts_of(host):
                stage.start(name)


def _named(stage: HostsStage, host: Host) -> bool:
    """Tell whether ``sidecar status`` names the host, or says that a part of it reaches nothing."""
    return any(host.name in problem["what"] for problem in stage.status()["problems"])


def _sent_at(evidence: Evidence) -> tuple[list[float], list[float]]:
    """Return when messages of the campaign were accepted, and when replies; unix seconds."""
    rows = set(evidence.seeded)
    times: dict[bool, list[float]] = {True: [], False: []}
    for message in evidence.messages:
        times[message["callback_data"] in rows].append(message["accepted_at"] / 1000)
    return times[True], times[False]


def _figures(stage: HostsStage, measured: Rates, number: str) -> dict[str, Any]:
    report = stage.ask("report")
    webhooks = report["webhooks"]
    return {
        "rate_before": measured.before and round(measured.before, 2),
        "gap_s": round(measured.gap_s, 2),
        "rate_after": measured.after and round(measured.after, 2),
        "throttled": report["numbers"][number]["throttled"],
        "webhooks": webhooks["posts"],
        "webhooks_refused": webhooks["refused"] + webhooks["unanswered"],
    }


def broken(line: dict[str, Any], measured: Rates, least: float, most: float) -> list[str]:
    """Return what of the hosts' own promises was not kept, in words."""
    found = [
        f"{rate:.2f} messages a second" for rate in measured.measured if not least <= rate <= most
    ]
    if line["throttled"]:
        found.append(f"{line['throttled']} messages were too fast")
    if line["webhooks_refused"]:
        found.append(f"{line['webhooks_refused']} webhooks were not answered with 200")
    if line["php_calls_failed"]:
        found.append(f"{line['php_calls_failed']} of PHP's calls failed")
    return found
