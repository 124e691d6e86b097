"""A move of vendors as a person asks for it, by PHP's admin, the command line or the console: it is
recorded, and what went wrong is told in one way."""

from typing import Any

from contracts.modes import Capability, Mode
from contracts.sidecar_api import ModesChange, ModesChanged
from sidecar.format import many
from sidecar.migration.cutover import Cutover, VendorUnknown
from sidecar.ops.audit import DONE, NOTHING, Audit, Who
from sidecar.php.client import BackendError
from sidecar.php.modes import differs
from sidecar.redis.client import reason_of

#: The outcome of a move that has to be repeated.
UNFINISHED = "unfinished"


async def move(cutover: Cutover, asked: ModesChange, audit: Audit, who: Who) -> ModesChanged:
    """Make the change, and record it. Raises what :meth:`Cutover.move` raises."""
    async with audit.doing(who, "modes.change", _target(asked), **_details(asked)) as doing:
        changed = await cutover.move(asked)
        left = [one.vendor_uid for one in changed.vendors if differs(one.modes, asked)]
        doing.details |= {"vendors": len(changed.vendors), **({"left": left} if left else {})}
        doing.outcome = UNFINISHED if left else DONE if cutover.written else NOTHING
    return changed


def unfinished(changed: ModesChanged, asked: ModesChange) -> str | None:
    """Return what a person must do to complete a move, if anything."""
    left = [vendor for vendor in changed.vendors if differs(vendor.modes, asked)]
    if not left:
        return None
    nobody = sum(vendor.modes.campaigns is Mode.HELD for vendor in left)
    who = many(len(left), "vendor does", "vendors do")
    words = f"{who} not have the requested modes yet: repeat it"
    if nobody:
        words += f". The campaigns of {nobody:,} are held until then, so nobody sends them"
    return words


def why_not(error: Exception) -> str:
    """Return in words what is wrong where a move raised this (``VendorUnknown``, ``BackendError``
    or redis-py's), and how things stand."""
    if isinstance(error, VendorUnknown):
        return f"PHP knows no vendor {error}"
    of_php = isinstance(error, BackendError)
    what = f"PHP call failed: {error}" if of_php else f"Redis is unavailable: {reason_of(error)}"
    return f"{what}. Earlier changes stand, and campaigns may be held: repeat it"


def _target(asked: ModesChange) -> str:
    match asked.vendor_uids:
        case []:
            return "all vendors"
        case [uid]:
            return uid
        case uids:
            return many(len(uids), "vendor")


def _details(asked: ModesChange) -> dict[str, Any]:
    details: dict[str, Any] = {
        name.value: mode for name in Capability if (mode := getattr(asked, name.value)) is not None
    }
    if asked.reason:
        details["reason"] = asked.reason
    if len(asked.vendor_uids) > 1:
        details["uids"] = asked.vendor_uids
    return details
