"""Two vendors and their modes."""

from typing import Any

from sidecar.commands.context import whoami
from tests.sidecar.answering_php import Php
from tests.sidecar.service import VENDOR

#: Who runs the commands.
ME = whoami().name
OTHER = "11111111-2222-3333-4444-555555555555"


def are(php: Php, vendor_uid: str, webhooks: str, campaigns: str, bots: str, **said: Any) -> None:
    """Have a vendor's modes be these."""
    php.modes_version += 1
    before = php.modes_of(vendor_uid)
    after = {"webhooks": webhooks, "campaigns": campaigns, "bots": bots}
    past = {"at": 1_700_000_000_000, "version": php.modes_version, "before": before, "after": after}
    php.histories.setdefault(vendor_uid, []).append({"by": None, "reason": None, **past, **said})


def modes(php: Php, vendor_uid: str = VENDOR) -> tuple[str, ...]:
    return tuple(php.modes_of(vendor_uid).values())
