"""Which refusals hold more than one message, what they hold, and for how long."""

from dataclasses import dataclass
from enum import StrEnum

from contracts.cloud_api.errors import ErrorRule


class Scope(StrEnum):
    """What is held: everything that is sent from it."""

    NUMBER = "number"
    ACCOUNT = "account"
    APP = "app"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing goes out of ``scope`` for ``first_s``, and for twice as long each time it goes on,
    ``longest_s`` at most. With ``slow`` the number's rate is cut as well, and climbs back."""

    scope: Scope
    first_s: float
    longest_s: float
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause, and the reason that people see."""

    pause: Pause
    reason: str


#: The number was too fast. Also for a 429 whose code is new to us.
THROTTLED = Pause(Scope.NUMBER, first_s=1, longest_s=60, slow=True)
#: The Cloud API cannot be reached.
UNREACHABLE = Pause(Scope.NUMBER, first_s=1, longest_s=1)

_BUSY = Pause(Scope.NUMBER, first_s=1, longest_s=60)
#: A change of the throughput takes up to a minute; other maintenance may take longer.
_MAINTENANCE = Pause(Scope.NUMBER, first_s=30, longest_s=600)

#: By code of the class ``RETRY_NUMBER``. The limits of calls are per hour.
PAUSES = {
    4: Pause(Scope.APP, first_s=60, longest_s=3600),
    80007: Pause(Scope.ACCOUNT, first_s=60, longest_s=3600),
    130429: THROTTLED,
    131057: _MAINTENANCE,
    2494100: _MAINTENANCE,
    132069: _BUSY,
    134101: _BUSY,
}


def hold_for(rule: ErrorRule, reason: str) -> Hold:
    """Return what a refusal of the class ``RETRY_NUMBER`` holds."""
    return Hold(PAUSES.get(rule.code, THROTTLED), reason)
