"""Whether a round's attack has reached anybody but the attackers."""

from functools import cached_property
from typing import Any

from simulator.adversary.evidence import Siege
from simulator.adversary.stage import REDIS_BYTES
from simulator.chaos.evidence import Evidence
from simulator.chaos.verdict import Verdict as ChaosVerdict
from simulator.chaos.verdict import Violation

#: A customer's message is with PHP within this time, whatever others do.
WAIT_S = 5.0
#: And what is told to end has ended.
STOP_S = 5.0
#: What a process of ours may use, and Redis for each byte that came in; beside that, what its own
#: buffers take while the largest webhook goes through them.
PROCESS_BYTES = 300 * 1024 * 1024
REDIS_FACTOR = 3
REDIS_BUFFERS = 32 * 1024 * 1024

_MEGABYTE = 1024 * 1024
#: Promises that only this verdict has; the others are chaos's, for the victim.
PROMISES = (
    *("late", "refused", "memory", "redis", "restrained"),
    *("unnamed", "died", "sigterm", "uncounted", "logging", "blind"),
)


class Verdict(ChaosVerdict):
    """``evidence`` is the victim's; ``siege`` what became of the attack. A machine that does other
    work may take ``slowness`` times as long."""

    def __init__(
        self, evidence: Evidence, siege: Siege, victim_uid: str, *, slowness: float = 1.0
    ) -> None:
        super().__init__(evidence)
        self.siege = siege
        self._victim_uid = victim_uid
        self._wait_s, self._stop_s = WAIT_S * slowness, STOP_S * slowness

    def line(self) -> dict[str, Any]:
        siege = self.siege
        promises = [violation.promise for violation in self.violations]
        return {
            **super().line(),
            **{promise: promises.count(promise) for promise in PROMISES},
            "wait_p99_s": round(self._wait(0.99), 2),
            "wait_most_s": round(self._wait(1.0), 2),
            "peak_mb": {name: peak // _MEGABYTE for name, peak in siege.peaks.items()},
            "redis_mb": round(siege.redis_bytes / _MEGABYTE, 1),
            "in_mb": round(siege.bytes_in / _MEGABYTE, 1),
            "errors": siege.errors,
            "stop_s": round(max((one.seconds for one in siege.stopped.values()), default=0.0), 1),
        }

    @cached_property
    def violations(self) -> list[Violation]:
        siege = self.siege
        return [
            *ChaosVerdict(self.evidence).violations,
            *(Violation("lost", wamid, "an attacker's, acknowledged") for wamid in siege.lost),
            *(Violation("sent_twice", row, "an attacker's") for row in siege.sent_twice),
            *self._late(),
            *self._webhooks(),
            *self._memory(),
            *(Violation("restrained", self._victim_uid, what) for what in siege.restrained),
            *(
                Violation("unnamed", uid, "sidecar status says nothing about its failures")
                for uid in siege.unnamed
            ),
            *self._processes(),
        ]

    def _wait(self, share: float) -> float:
        """Return the wait that this share of the victim's customers did not exceed."""
        waits = sorted(self.siege.waits)
        return waits[min(len(waits) - 1, int(share * len(waits)))] if waits else 0.0

    def _late(self) -> list[Violation]:
        late = sum(wait >= self._wait_s for wait in self.siege.waits)
        longest = f"one for {self._wait(1.0):.1f}"
        what = f"{late} customers waited for {self._wait_s:.0f} s or more, {longest}"
        return [Violation("late", self._victim_uid, what)] if late else []

    def _webhooks(self) -> list[Violation]:
        siege = self.siege
        found = []
        if (victim := siege.webhooks.get(self._victim_uid)) is not None:
            found = [Violation("refused", self._victim_uid, what) for what in victim.others]
        for uid, counted in siege.received.items():
            seen = siege.webhooks.get(uid)
            if seen is not None and seen.acknowledged > counted:
                what = f"{seen.acknowledged} webhooks were acknowledged, {counted} were counted"
                found.append(Violation("uncounted", uid, what))
        return found

    def _memory(self) -> list[Violation]:
        siege = self.siege
        found = [
            Violation("memory", name, f"has used {peak // _MEGABYTE} MB")
            for name, peak in siege.peaks.items()
            if peak >= PROCESS_BYTES
        ]
        if siege.redis_bytes > min(REDIS_FACTOR * siege.bytes_in + REDIS_BUFFERS, REDIS_BYTES):
            used, given = siege.redis_bytes // _MEGABYTE, siege.bytes_in / _MEGABYTE
            found.append(Violation("redis", "redis", f"{used} MB for {given:.1f} MB of webhooks"))
        if siege.out_of_memory:
            what = f"{siege.out_of_memory} writes were refused for want of memory"
            found.append(Violation("redis", "redis", what))
        return found

    def _processes(self) -> list[Violation]:
        siege = self.siege
        found = [
            Violation("sigterm", name, f"ended after {how.seconds:.1f} s with {how.exit_code}")
            for name, how in siege.stopped.items()
            if how.seconds >= self._stop_s or how.exit_code != 0
        ]
        found += [Violation("blind", "sidecar status", what) for what in siege.blind]
        if siege.deaths:
            found.append(Violation("died", "drain", f"{siege.deaths} did not come to their end"))
        if siege.logging_errors:
            what = f"{siege.logging_errors} lines could not be logged"
            found.append(Violation("logging", "log", what))
        return found
