"""Which refusals hold more than one message, what they hold, and for how long.

All of these end by themselves. What a person has to end is paused instead
(``sidecar/sending/pauses.py``).
"""

from dataclasses import dataclass
from enum import StrEnum

from contracts.cloud_api.errors import ErrorRule


class Scope(StrEnum):
    """What is held: everything that is sent from it."""

    CAMPAIGN = "campaign"
    NUMBER = "number"
    ACCOUNT = "account"
    APP = "app"
    TOKEN = "token"


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

#: A change of the throughput takes up to a minute; other maintenance may take longer.
_MAINTENANCE = Pause(Scope.NUMBER, first_s=30, longest_s=600)

#: A cut of the messaging limit lasts for an enforcement period that nobody tells.
_CUT = Pause(Scope.ACCOUNT, first_s=3600, longest_s=86_400)

#: By code: those of the class ``RETRY_NUMBER``, and of others that lift by themselves. The limits
#: of calls are per hour. A flow may be sent ten times per hour; a template takes ten minutes to
#: sync.
PAUSES = {
    4: Pause(Scope.APP, first_s=60, longest_s=3600),
    80007: Pause(Scope.ACCOUNT, first_s=60, longest_s=3600),
    130429: THROTTLED,
    131057: _MAINTENANCE,
    2494100: _MAINTENANCE,
    131064: _CUT,
    132069: Pause(Scope.CAMPAIGN, first_s=3600, longest_s=3600),
    134101: Pause(Scope.CAMPAIGN, first_s=600, longest_s=600),
}


#: Codes that a caller gets too who may not use the number, and so say nothing to others who use it.
OF_THE_CALLER = frozenset({33})


def hold_for(rule: ErrorRule, reason: str) -> Hold:
    """Return what a refusal holds that lifts by itself."""
    return Hold(PAUSES.get(rule.code, THROTTLED), reason)
