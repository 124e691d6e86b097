"""Carries faults out, each on a thread of its own, and undoes them."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import redis

from contracts import sidecar_api as api
from simulator.chaos.changes import Changes
from simulator.chaos.clocks import NOTICED_S
from simulator.chaos.fault import API_FAULTS, Fault, Kind
from simulator.chaos.load import Work
from simulator.chaos.outages import Outages
from simulator.chaos.redis_failover import Failovers
from simulator.chaos.stage import WORKERS, Stage, persist

#: Where Dramatiq keeps its wake-ups: the next database of the same Redis.
DRAMATIQ_DATABASE = 1
#: Within this time a Redis that was killed or suspended is back.
REDIS_BACK_S = 30.0

#: Further fields of :class:`Injected`.
Outcome = dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that was carried out and undone. Times are unix seconds. ``calls`` is how many
    calls to the Cloud API it has cut off or held up on the way, or an outage has hit;
    ``exit_code`` that of a part that was told to end. ``rows`` are those whose contacts have opted
    out. ``named``: whether `sidecar status` has told of an outage; None if it need not.
    ``number`` may send ``per_s`` messages from then on. After a failover there was another primary
    ``switched_at``, and the sidecar took a webhook ``webhook_at``; ``recovery_s`` may pass until
    then."""

    fault: Fault
    began_at: float
    ended_at: float
    calls: int = 0
    exit_code: int | None = None
    rows: tuple[str, ...] = ()
    named: bool | None = None
    number: str = ""
    per_s: float = 0.0
    switched_at: float | None = None
    webhook_at: float | None = None
    recovery_s: float = 0.0


class Injector:
    """Injects a round's faults. ``work`` is what they are about."""

    def __init__(self, stage: Stage, work: Work) -> None:
        self._stage = stage
        self._work = work
        changes = Changes(stage, work)
        self._carry_out: dict[Kind, Callable[[Fault], Outcome]] = {
            Kind.CRASH: self._crash,
            Kind.SUSPEND: self._suspend,
            Kind.RESTART: self._restart,
            Kind.REFUSE: self._refuse,
            Kind.CUT: self._cut_proxy,
            Kind.STALL: self._stall,
            Kind.API: self._api,
            Kind.FORGET: self._forget,
            Kind.PAUSE: self._pause,
            Kind.OUTAGE: Outages(stage).bring,
            Kind.TOKEN: changes.token,
            Kind.RATE: changes.rate,
            Kind.NUMBER: changes.number,
            Kind.OPT_OUT: changes.opt_out,
            Kind.CLOCK: self._clock,
            Kind.FAILOVER: self._failover,
        }

    def run(self, faults: list[Fault]) -> list[Injected]:
        """Inject each at its time from now. Return when all of them are undone. Raises what went
        wrong with one of them, a part that does not start any more, say."""
        began = time.monotonic()
        with ThreadPoolExecutor(max_workers=max(1, len(faults))) as threads:
            futures: list[Future[Injected]] = [
                threads.submit(self._inject, fault, began) for fault in faults
            ]
        return [future.result() for future in futures]

    def _inject(self, fault: Fault, began: float) -> Injected:
        time.sleep(max(0.0, began + fault.at_s - time.monotonic()))
        began_at = time.time()
        outcome = self._carry_out[fault.kind](fault) or {}
        return Injected(fault, began_at, time.time(), **outcome)

    # -- the parts --

    def _crash(self, fault: Fault) -> None:
        self._stage.installation.crash(fault.target)
        time.sleep(fault.for_s)
        self._stage.start(fault.target)

    def _suspend(self, fault: Fault) -> None:
        self._stage.installation.suspend(fault.target)
        try:
            time.sleep(fault.for_s)
        finally:
            self._stage.installation.resume(fault.target)

    def _restart(self, fault: Fault) -> Outcome:
        code = self._stage.installation.processes[fault.target].stop()
        self._stage.start(fault.target)
        return {"exit_code": code}

    def _clock(self, fault: Fault) -> None:
        with self._stage.clocks.off(fault.target, fault.jump_s):
            time.sleep(fault.for_s)
        time.sleep(NOTICED_S)

    def _failover(self, fault: Fault) -> Outcome:
        return Failovers(self._stage, self._work.vendor_uids[0]).bring(fault)

    # -- the way to the Cloud API, and the Cloud API --

    def _refuse(self, fault: Fault) -> None:
        self._stage.proxy.close()
        try:
            time.sleep(fault.for_s)
        finally:
            self._stage.proxy.open()

    def _cut_proxy(self, _fault: Fault) -> Outcome:
        return {"calls": self._stage.proxy.cut()}

    def _stall(self, fault: Fault) -> Outcome:
        self._stage.proxy.hold()
        try:
            time.sleep(fault.for_s)
        finally:
            held = self._stage.proxy.release()
        return {"calls": held}

    def _api(self, fault: Fault) -> None:
        spec: dict[str, Any] = dict(API_FAULTS[fault.target][0])
        if fault.times is None:
            self._stage.order("faults", {**spec, "seconds": fault.for_s})
            time.sleep(fault.for_s)
        else:
            self._stage.order("faults", {**spec, "times": fault.times})

    # -- Redis and PHP --

    def _forget(self, _fault: Fault) -> None:
        with self._stage.redis(DRAMATIQ_DATABASE) as client:
            persist(client.flushdb, redis.RedisError, REDIS_BACK_S)

    def _pause(self, fault: Fault) -> None:
        campaign_uid = self._work.campaigns[int(fault.target)].uid
        self._stage.call(api.CAMPAIGN_PAUSE, campaign_uid)
        time.sleep(fault.for_s)
        self._stage.call(api.CAMPAIGN_RESUME, campaign_uid)


def worker_faults(injected: list[Injected]) -> list[Injected]:
    """Return those that may have ended or held up a worker between a call and its record. Leases
    run out when Redis's clock jumps ahead, as it does when it has been set back and is put right.
    """
    return [one for one in injected if _concerns_workers(one.fault)]


def _concerns_workers(fault: Fault) -> bool:
    if fault.kind is Kind.CLOCK:
        return fault.target == "redis"
    if fault.kind is Kind.FAILOVER:
        return True
    return fault.kind in (Kind.CRASH, Kind.SUSPEND) and fault.target in (*WORKERS, "redis")
