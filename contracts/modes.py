"""Who does a vendor's work: PHP or the sidecar, for each capability by itself.

PHP keeps the modes, in MySQL, beside the vendor's other settings: so they survive a wiped Redis,
and PHP itself can refuse whoever acts by yesterday's modes. The sidecar reads them with the
vendor's configuration (:class:`contracts.backend.VendorConfig`), and learns of a change as of any
other.
"""

from enum import StrEnum

from pydantic import Field

from contracts.lenient import LenientModel, StrictModel
from contracts.transitions import Transitions


class Capability(StrEnum):
    """- ``webhooks``: what Meta posts;
    - ``campaigns``: sending the rows of ``whatsapp_message_queue``;
    - ``bots``: which bots match a customer's message.
    """

    WEBHOOKS = "webhooks"
    CAMPAIGNS = "campaigns"
    BOTS = "bots"


class Mode(StrEnum):
    """- ``php``: PHP does it, with its own routes and crons;
    - ``shadow``: PHP does it, and the sidecar only records what it would have done;
    - ``sidecar``: the sidecar does it, and PHP's crons leave the vendor alone;
    - ``held``: of campaigns only, for the moment of a change: nobody begins anything new.
    """

    PHP = "php"
    SHADOW = "shadow"
    SIDECAR = "sidecar"
    HELD = "held"


#: Who makes a change. A rollout is a cutover of a percentage of the vendors; a rollback leads to
#: ``php`` only.
_FORTH = "cutover"
_BACK = "cutover, rollback"

_FREELY = Transitions(
    (Mode.PHP, Mode.SHADOW, _FORTH),
    (Mode.PHP, Mode.SIDECAR, _FORTH),
    (Mode.SHADOW, Mode.PHP, _BACK),
    (Mode.SHADOW, Mode.SIDECAR, _FORTH),
    (Mode.SIDECAR, Mode.PHP, _BACK),
    (Mode.SIDECAR, Mode.SHADOW, _FORTH),
)

#: How each capability may change. PHP refuses what is not here. Campaigns never pass between PHP's
#: crons and the sidecar directly: both would have rows in hand for a moment.
TRANSITIONS = {
    Capability.WEBHOOKS: _FREELY,
    Capability.BOTS: _FREELY,
    Capability.CAMPAIGNS: Transitions(
        (Mode.PHP, Mode.SHADOW, _FORTH),
        (Mode.SHADOW, Mode.PHP, _BACK),
        (Mode.PHP, Mode.HELD, "cutover begins"),
        (Mode.SHADOW, Mode.HELD, "cutover begins"),
        (Mode.SIDECAR, Mode.HELD, "cutover or rollback begins"),
        (Mode.HELD, Mode.SIDECAR, "cutover, after cron_settle_s"),
        (Mode.HELD, Mode.PHP, "cutover or rollback, once nothing is in flight"),
        (Mode.HELD, Mode.SHADOW, "cutover, once nothing is in flight"),
    ),
}


def may_become(capability: Capability, now: Mode, wanted: Mode) -> bool:
    """Return whether a mode may change so in one step, or is so already."""
    return now is wanted or TRANSITIONS[capability].allows(now, wanted)


class Modes(LenientModel):
    """A vendor's modes. Where PHP has kept none for a vendor, its own configuration says
    (``WHATSAPP_SIDECAR_VENDORS``, ``WHATSAPP_SIDECAR_BOTS``)."""

    webhooks: Mode = Mode.PHP
    campaigns: Mode = Mode.PHP
    bots: Mode = Mode.PHP


class ModeChange(StrictModel):
    """What to change of a vendor's modes; null stays as it is."""

    vendor_uid: str
    webhooks: Mode | None = None
    campaigns: Mode | None = None
    bots: Mode | None = None


class ModesRequest(StrictModel):
    """Read all vendors' modes; before that, make changes, all of them or none.

    ``version`` is the one that the caller has read. It grows with every call that changes
    something, or says for the first time how a vendor is to be; where PHP's is another one, nothing
    happens and the answer is 409 ``fence_stale``: somebody else has changed modes meanwhile. ``by``
    and ``reason`` are kept with each change, the last 50 of a vendor. Only campaigns can be
    ``held``, and they pass through it on their way between PHP and the sidecar: a step that leaves
    it out is refused with 409 ``mode_change_forbidden``, and nothing happens. A vendor that does
    not exist: 404 ``vendor_unknown``, and nothing happens.
    """

    changes: list[ModeChange] = Field(default=[], max_length=10_000)
    version: int | None = Field(default=None, description="Needed with changes.")
    by: str | None = Field(default=None, max_length=100)
    reason: str | None = Field(default=None, max_length=500)
    history: bool = Field(default=False, description="Whether to return past changes.")


class PastChange(LenientModel):
    """``at``: unix ms. ``before`` and ``after`` hold all three modes."""

    at: int
    by: str | None = None
    reason: str | None = None
    version: int
    before: Modes
    after: Modes


class VendorModes(LenientModel):
    """``history``: the oldest change first."""

    vendor_uid: str
    title: str | None = None
    modes: Modes
    history: list[PastChange] = []


class ModesAnswer(LenientModel):
    """All vendors, by ``_id``."""

    version: int
    vendors: list[VendorModes]
