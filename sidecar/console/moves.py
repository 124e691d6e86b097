"""Moving vendors by the console: what a form asks for, what it would do, and doing it."""

from starlette.requests import Request
from starlette.responses import Response

from contracts.modes import Capability, Mode, VendorModes
from contracts.sidecar_api import ModesChange, ModesChanged
from sidecar.console.console import Console
from sidecar.console.forms import Form
from sidecar.console.live import Shared
from sidecar.console.page import back, who
from sidecar.console.sessions import User
from sidecar.migration import moving
from sidecar.migration.cutover import Cutover, VendorUnknown
from sidecar.migration.preview import Preview
from sidecar.php.client import BackendError
from sidecar.php.modes import differs
from sidecar.redis.client import RedisUnavailable

#: What may be asked for; ``held`` is for the moment of a change.
CHOICES = (Mode.PHP, Mode.SHADOW, Mode.SIDECAR)

#: A page that is waited for longer than this may be given up, by nginx or by whoever waits.
PATIENCE_S = 50.0

#: How long a move may wait for what is in flight, besides ``cron_settle_s``: somebody looks at a
#: page that loads, and nginx waits for 60 s.
MOVE_S = 20.0

#: Looks within this time share PHP's answer.
SHARED_S = 2.0

#: Vendors that wait for something and are named in a notice.
MAX_NAMED = 3


class Unclear(Exception):
    """The form asks for nothing, or for what there is not. The text is for people."""


def asked_of(fields: Form, user: User, *vendor_uids: str) -> ModesChange:
    """Return the change that a form asks for, or raise :class:`Unclear`."""
    modes: dict[str, Mode] = {}
    for name in Capability:
        if value := fields.get(name.value):
            if value not in CHOICES:
                raise Unclear(f"{name} can be {', '.join(CHOICES)}, and not {value[:50]}.")
            modes[name.value] = Mode(value)
    if not modes:
        raise Unclear(f"Say what to move: {', '.join(Capability)}.")
    return ModesChange(
        vendor_uids=list(vendor_uids),
        by=user.name[:100],
        reason=fields.get("reason")[:500] or None,
        timeout_s=MOVE_S,
        **modes,
    )


def fields_of(asked: ModesChange) -> dict[str, str]:
    """Return the fields of a form that asks for this change."""
    found = {name.value: getattr(asked, name.value) for name in Capability}
    return {name: value for name, value in {**found, "reason": asked.reason}.items() if value}


class Moves:
    """``vendors``: all, with their modes; looks share it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.vendors = Shared(self.read, SHARED_S)

    def cutover(self) -> Cutover:
        """Return what moves vendors; it is for one move."""
        console = self._console
        return Cutover(console.settings, console.redis, console.backend, console.changes)

    async def read(self) -> list[VendorModes]:
        """Return all vendors as PHP has them now. Raises ``BackendError``."""
        return (await self.cutover().read()).vendors

    async def find(self, vendor_uid: str) -> VendorModes | None:
        """Return a vendor as PHP has it now. Raises ``BackendError``."""
        return next((one for one in await self.read() if one.vendor_uid == vendor_uid), None)

    async def preview(self, vendors: list[VendorModes], asked: ModesChange) -> list[str]:
        """Return what whoever asks for a move should know before."""
        console = self._console
        notes = await Preview(console.redis, console.settings).read(vendors, asked)
        if asked.campaigns and console.settings.cron_settle_s + asked.timeout_s > PATIENCE_S:
            notes.append("It may take longer than this page is waited for: look again after it.")
        return notes

    async def move(self, request: Request, user: User, asked: ModesChange, to: str) -> Response:
        """Make the change, and lead to a page that says what came of it."""
        try:
            changed = await moving.move(self.cutover(), asked, self._console.audit, who(user))
        except (VendorUnknown, BackendError, *RedisUnavailable) as error:
            return back(request, to, moving.why_not(error), failed=True)
        finally:
            self.vendors = Shared(self.read, SHARED_S)
        words, failed = _outcome(changed, asked)
        return back(request, to, words, failed=failed)


def _outcome(changed: ModesChanged, asked: ModesChange) -> tuple[str, bool]:
    moved = sum(not differs(vendor.modes, asked) for vendor in changed.vendors)
    words = [f"{moved:,} of {len(changed.vendors):,} vendors have the requested modes"]
    problem = moving.unfinished(changed, asked)
    if problem:
        words.append(problem)
    waiting = [one for one in changed.vendors if one.waits_for]
    words += [f"{one.vendor_uid} waits for: {one.waits_for}" for one in waiting[:MAX_NAMED]]
    return ". ".join(words), problem is not None
