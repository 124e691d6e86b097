"""What a backend must offer so that the contract's tests can run against it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.console import Role
from simulator.backend.seed_bots import SeedBot

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor of a test's own."""

    uid: str
    #: ``vendors._id``.
    id: int
    phone_number_ids: tuple[str, ...]
    access_token: str
    app_secret: str
    business_account_id: str


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign with one queued row per recipient, in the order of ``_id``."""

    uid: str
    #: ``campaigns._id``.
    id: int
    vendor: Vendor
    row_uids: tuple[str, ...]
    recipients: tuple[str, ...]


class BackendUnderTest(Protocol):
    """A running backend. Times are unix milliseconds."""

    #: Such as ``http://127.0.0.1:8000``, without a slash at the end.
    base_url: str
    #: Signing keys that it accepts; two at least.
    keys: Mapping[str, bytes]
    #: A JSON column gives back the text that was written. MySQL's gives back its value, with keys
    #: in an order of its own and numbers as the processor has them.
    keeps_json_text: bool

    def seed_vendor(self, *, numbers: int = 1, messages_per_second: float | None = None) -> Vendor:
        """Add an active vendor with so many phone numbers."""

    def seed_campaign(
        self,
        vendor: Vendor,
        messages: int,
        *,
        scheduled_at: int | None = None,
        expiry_at: int | None = None,
        from_phone_number_id: str | None = None,
        template_name: str = "spring_offer",
        category: str | None = "MARKETING",
    ) -> Campaign:
        """Add a campaign whose rows are due at ``scheduled_at`` (at once, if not given). The vendor
        knows the template under this category from now on; null: it is not told."""

    def seed_bots(self, vendor: Vendor, *bots: SeedBot) -> tuple[str, ...]:
        """Add bots, and return their uids."""

    def seed_effects(self, vendor: Vendor, **options: Any) -> None:
        """Write settings, as :func:`simulator.backend.seed_bots.seed_effects` does."""

    def set_setting(self, vendor: Vendor, name: str, value: str) -> None:
        """Write a row of ``vendor_settings``."""

    def setting(self, vendor: Vendor, name: str) -> str | None:
        """Read a row of ``vendor_settings``."""

    def rows(self, table: str, **where: Any) -> list[Row]:
        """Return the rows of a table, by ``_id``. ``__data`` and JSON columns are decoded,
        datetimes are text, ``YYYY-MM-DD HH:MM:SS``."""

    def change(self, table: str, values: Mapping[str, Any], **where: Any) -> None:
        """Set columns of rows. Keys that begin with ``__data.`` set one key of the JSON."""

    def delete(self, table: str, **where: Any) -> None:
        """Delete rows."""

    def leave_to_php(self, vendor: Vendor) -> None:
        """Take the vendor off the sidecar, on which all others are: its stored webhooks are the
        cron's."""

    def poison(self, text: str) -> None:
        """From now on an update whose payload contains ``text`` raises in the routine."""

    def cure(self) -> None:
        """No update is poisoned any more."""

    def console_link(self, name: str, role: Role) -> str:
        """Return path and query of the link by which a user of the admin with this name signs in to
        the console, with this role."""
