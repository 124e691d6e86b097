"""What goes wrong in a round, and when. Drawn from the round's seed alone."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from simulator.cloud_api.outage import OutageShape


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
    #: Every call of the Cloud API fails in one way, for seconds or a minute.
    OUTAGE = "outage"
    #: A vendor has a new access token, and the Cloud API refuses the old one.
    TOKEN = "token"
    #: A number may send faster or slower than before.
    RATE = "rate"
    #: A number is gone, is put back later, and a person resumes what was paused.
    NUMBER = "number"
    #: Contacts of rows that are still to be sent opt out.
    OPT_OUT = "opt out"
    #: The clock of a worker or of Redis jumps by minutes, and is put right later.
    CLOCK = "clock"
    #: Redis's primary is lost or cut off (simulator/chaos/failover.py). Other rounds have none.
    FAILOVER = "failover"


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

#: How long an outage lasts, in seconds, and how many of them do.
OUTAGE_S = {5.0: 10, 10.0: 5, 20.0: 3, 60.0: 1}
LONGEST_OUTAGE_S = max(OUTAGE_S)
#: Whether PHP tells the sidecar of the new token.
TOLD = ("announced", "silent")
#: What becomes of a number's rate.
RATES = {"halved": 0.5, "doubled": 2.0}
#: Whose clocks jump, and by how much, in seconds. PHP takes calls of clocks that are off by up to
#: 300 s. What a worker puts off while its clock is ahead waits for as long, and a round does not.
_BY_MINUTES = (-600, -240, -90, 90, 240, 600)
_WORKERS_JUMPS_S = (-600, -240, -90, 20)
CLOCKS = {"worker-1": _WORKERS_JUMPS_S, "worker-2": _WORKERS_JUMPS_S, "redis": _BY_MINUTES}

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
    Kind.OUTAGE: 5,
    Kind.TOKEN: 3,
    Kind.RATE: 2,
    Kind.NUMBER: 2,
    Kind.OPT_OUT: 2,
    Kind.CLOCK: 3,
}
#: A part can be in one of these at a time.
_WHOLE = (Kind.CRASH, Kind.SUSPEND, Kind.RESTART)


@dataclass(frozen=True, slots=True)
class Fault:
    """``at_s`` after the load has begun. ``target`` is a part, one of :data:`API_FAULTS`, an
    :class:`OutageShape`, or the number of a campaign or a vendor. ``times`` is how many sends it
    hits, ``how`` one of :data:`TOLD` or :data:`RATES`, ``jump_s`` how far a clock jumps."""

    at_s: float
    kind: Kind
    target: str = ""
    for_s: float = 0.0
    times: int | None = None
    how: str = ""
    jump_s: int = 0

    def __str__(self) -> str:
        words = [f"{self.at_s:.2f}s", self.how, self.kind.value, self.target]
        if self.times is not None:
            words.append(f"x{self.times}")
        if self.jump_s:
            words.append(f"by {self.jump_s:+d}s")
        if self.for_s:
            words.append(f"for {self.for_s:.2f}s")
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What there is to go wrong."""

    campaigns: int
    vendors: int
    longest_s: float


def draw_faults(
    seed: int, campaigns: int, vendors: int, longest_s: float = LONGEST_OUTAGE_S
) -> list[Fault]:
    """Return a round's faults in the order in which they begin. None of them has the same target
    as another one, so each can be undone by itself. No outage lasts for more than ``longest_s``."""
    rng = Random(f"faults {seed}")
    scene = _Scene(campaigns, vendors, longest_s)
    faults: dict[tuple[Kind | None, str], Fault] = {}
    for _ in range(rng.randint(1, MAX_FAULTS)):
        kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        fault = _DRAWN[kind](rng, kind, round(rng.uniform(*BEGIN_S), 2), scene)
        faults.setdefault(_place(fault), fault)
    return sorted(faults.values(), key=lambda fault: fault.at_s)


def _place(fault: Fault) -> tuple[Kind | None, str]:
    """Return what only one fault of a round can have."""
    if fault.kind is Kind.OUTAGE:
        return fault.kind, ""
    return (None if fault.kind in _WHOLE else fault.kind), fault.target


def _seconds(rng: Random, least: float, most: float) -> float:
    return round(rng.uniform(least, most), 2)


def _part(rng: Random, kind: Kind, at_s: float, _scene: _Scene) -> Fault:
    if kind is Kind.RESTART:
        return Fault(at_s, kind, rng.choice(RESTARTED))
    limits = SUSPEND_S if kind is Kind.SUSPEND else (0.0, 1.2)
    return Fault(at_s, kind, rng.choice(PARTS), _seconds(rng, *limits))


def _proxy_fault(rng: Random, kind: Kind, at_s: float, _scene: _Scene) -> Fault:
    # A stall is shorter or longer than the sidecar waits for an answer.
    for_s = 0.0 if kind is Kind.CUT else _seconds(rng, 0.2, 2.8)
    return Fault(at_s, kind, for_s=for_s)


def _api(rng: Random, kind: Kind, at_s: float, _scene: _Scene) -> Fault:
    target = rng.choice(list(API_FAULTS))
    most = API_FAULTS[target][1]
    if most is None:
        return Fault(at_s, kind, target, for_s=_seconds(rng, 0.1, 1.2))
    return Fault(at_s, kind, target, times=rng.randint(1, most))


def _forget(_rng: Random, kind: Kind, at_s: float, _scene: _Scene) -> Fault:
    return Fault(at_s, kind)


def _pause(rng: Random, kind: Kind, at_s: float, scene: _Scene) -> Fault:
    return Fault(at_s, kind, str(rng.randrange(scene.campaigns)), _seconds(rng, 0.1, 2.0))


def _outage(rng: Random, kind: Kind, at_s: float, scene: _Scene) -> Fault:
    seconds = rng.choices(list(OUTAGE_S), list(OUTAGE_S.values()))[0]
    shape = rng.choice(list(OutageShape)).value
    # Early, so that there are messages to be hit.
    return Fault(min(at_s, 1.0), kind, shape, for_s=min(seconds, scene.longest_s))


def _token(rng: Random, kind: Kind, at_s: float, scene: _Scene) -> Fault:
    return Fault(at_s, kind, str(rng.randrange(scene.vendors)), how=rng.choice(TOLD))


def _rate(rng: Random, kind: Kind, at_s: float, scene: _Scene) -> Fault:
    return Fault(at_s, kind, str(rng.randrange(scene.vendors)), how=rng.choice(list(RATES)))


def _number(rng: Random, kind: Kind, at_s: float, scene: _Scene) -> Fault:
    return Fault(at_s, kind, str(rng.randrange(scene.vendors)), _seconds(rng, 0.3, 2.0))


def _opt_out(rng: Random, kind: Kind, at_s: float, scene: _Scene) -> Fault:
    return Fault(at_s, kind, str(rng.randrange(scene.campaigns)))


def _clock(rng: Random, kind: Kind, at_s: float, _scene: _Scene) -> Fault:
    target = rng.choice(list(CLOCKS))
    return Fault(at_s, kind, target, _seconds(rng, 1.5, 5.0), jump_s=rng.choice(CLOCKS[target]))


_DRAWN: dict[Kind, Callable[[Random, Kind, float, _Scene], Fault]] = {
    **dict.fromkeys(_WHOLE, _part),
    **dict.fromkeys((Kind.REFUSE, Kind.CUT, Kind.STALL), _proxy_fault),
    Kind.API: _api,
    Kind.FORGET: _forget,
    Kind.PAUSE: _pause,
    Kind.OUTAGE: _outage,
    Kind.TOKEN: _token,
    Kind.RATE: _rate,
    Kind.NUMBER: _number,
    Kind.OPT_OUT: _opt_out,
    Kind.CLOCK: _clock,
}
