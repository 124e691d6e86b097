"""What goes wrong in a round, and when. Drawn from the round's seed alone."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Kind(StrEnum):
    #: SIGKILL, and a start a moment later.
    CRASH = "crash"
    #: SIGSTOP, and SIGCONT later.
    SUSPEND = "suspend"
    #: SIGTERM, and a start as soon as it has ended.
    RESTART = "restart"
    #: Nothing listens where the Cloud API was.
    REFUSE = "refuse"
    #: All connections to the Cloud API are reset.
    CUT = "cut"
    #: What is sent to the Cloud API, and what it answers, stays on the way for a while.
    STALL = "stall"
    #: The Cloud API does what one of :data:`API_FAULTS` says.
    API = "api"
    #: All of Dramatiq's keys are deleted.
    FORGET = "forget"
    #: A campaign is paused by the signed call, and resumed later.
    PAUSE = "pause"


#: What can be killed and suspended.
PARTS = ("sidecar", "worker-1", "worker-2", "redis", "php-fpm", "mariadb", "nginx")
#: What ends by itself when it is told to, and takes its time for it.
RESTARTED = ("sidecar", "worker-1", "worker-2")

#: Faults of the Cloud API (:class:`simulator.cloud_api.fault.FaultSpec`), and the most sends that
#: one of them hits; None for those that last for a while instead.
API_FAULTS: dict[str, tuple[dict[str, str | int | float], int | None]] = {
    "reset after acceptance": ({"kind": "reset_after_accept"}, 8),
    "time-out after acceptance": ({"kind": "timeout_after_accept"}, 8),
    "500 without a code": ({"kind": "http_500"}, 6),
    "500 with a page": ({"kind": "html_500"}, 6),
    "503": ({"kind": "http_503"}, 6),
    "131000": ({"kind": "error", "code": 131000}, 6),
    "131016": ({"kind": "error", "code": 131016}, 6),
    "131056": ({"kind": "error", "code": 131056}, 10),
    "130429 storm": ({"kind": "throttle"}, None),
    "slow": ({"kind": "slow", "seconds": 0.7}, 30),
}

#: Faults begin in this time of a round, in seconds.
BEGIN_S = (0.2, 2.5)
#: How long a part is suspended. The lease's ttl lies in between.
SUSPEND_S = (0.2, 3.5)
MAX_FAULTS = 4

_WEIGHTS = {
    Kind.CRASH: 8,
    Kind.SUSPEND: 6,
    Kind.RESTART: 3,
    Kind.REFUSE: 2,
    Kind.CUT: 2,
    Kind.STALL: 2,
    Kind.API: 5,
    Kind.FORGET: 1,
    Kind.PAUSE: 2,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """``at_s`` after the load has begun. ``target`` is a part, one of :data:`API_FAULTS`, or the
    number of a campaign. ``times`` is how many sends it hits."""

    at_s: float
    kind: Kind
    target: str = ""
    for_s: float = 0.0
    times: int | None = None

    def __str__(self) -> str:
        words = [f"{self.at_s:.2f}s", self.kind.value, self.target]
        if self.times is not None:
            words.append(f"x{self.times}")
        if self.for_s:
            words.append(f"for {self.for_s:.2f}s")
        return " ".join(word for word in words if word)


def draw_faults(seed: int, campaigns: int) -> list[Fault]:
    """Return a round's faults in the order in which they begin. None of them has the same target
    as another one, so each can be undone by itself."""
    rng = Random(f"faults {seed}")
    faults: dict[tuple[Kind | None, str], Fault] = {}
    for _ in range(rng.randint(1, MAX_FAULTS)):
        kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        fault = _DRAWN[kind](rng, kind, round(rng.uniform(*BEGIN_S), 2), campaigns)
        faults.setdefault((None if fault.target in PARTS else kind, fault.target), fault)
    return sorted(faults.values(), key=lambda fault: fault.at_s)


def _seconds(rng: Random, least: float, most: float) -> float:
    return round(rng.uniform(least, most), 2)


def _part(rng: Random, kind: Kind, at_s: float, _campaigns: int) -> Fault:
    if kind is Kind.RESTART:
        return Fault(at_s, kind, rng.choice(RESTARTED))
    limits = SUSPEND_S if kind is Kind.SUSPEND else (0.0, 1.2)
    return Fault(at_s, kind, rng.choice(PARTS), _seconds(rng, *limits))


def _proxy_fault(rng: Random, kind: Kind, at_s: float, _campaigns: int) -> Fault:
    # A stall is shorter or longer than the sidecar waits for an answer.
    for_s = 0.0 if kind is Kind.CUT else _seconds(rng, 0.2, 2.8)
    return Fault(at_s, kind, for_s=for_s)


def _api(rng: Random, kind: Kind, at_s: float, _campaigns: int) -> Fault:
    target = rng.choice(list(API_FAULTS))
    most = API_FAULTS[target][1]
    if most is None:
        return Fault(at_s, kind, target, for_s=_seconds(rng, 0.1, 1.2))
    return Fault(at_s, kind, target, times=rng.randint(1, most))


def _forget(_rng: Random, kind: Kind, at_s: float, _campaigns: int) -> Fault:
    return Fault(at_s, kind)


def _pause(rng: Random, kind: Kind, at_s: float, campaigns: int) -> Fault:
    return Fault(at_s, kind, str(rng.randrange(campaigns)), _seconds(rng, 0.1, 2.0))


_DRAWN: dict[Kind, Callable[[Random, Kind, float, int], Fault]] = {
    Kind.CRASH: _part,
    Kind.SUSPEND: _part,
    Kind.RESTART: _part,
    Kind.REFUSE: _proxy_fault,
    Kind.CUT: _proxy_fault,
    Kind.STALL: _proxy_fault,
    Kind.API: _api,
    Kind.FORGET: _forget,
    Kind.PAUSE: _pause,
}
