"""What a number may do, and with whom it shares that.

Names in Redis are made here, so that no vendor reaches another's limits, holds and pauses. What is
*verified* is what Meta has told PHP of a number when PHP asked it with the vendor's access token
(:class:`contracts.backend.Verified`). An id that was entered in settings, or that a webhook names,
proves nothing; nor does a send that Meta has accepted: it went out from the number, but whose
account that is remains the settings' word. A verified id is a name for all vendors that have it:
they own the number or the account together, and what stops it stops them all. Every other name
begins with the vendor's uid and a slash, which no verified id contains.

Why no vendor reaches another's by them, and by the keys beside them:

- ``number:*``, ``outage:*``, ``turns:*``, ``wanting:*``, ``urgent:*``, ``pair:*`` have the name
  :attr:`Limits.line`: the vendor's own, or of a verified number. A number that is only entered
  takes no slot from anybody else, is slowed by nobody else's refusals, and keeps to its own rate.
- ``hold:account:*``, ``hold:app:*`` and ``recipients:*`` likewise, by ``account``, ``app`` and
  ``portfolio``. An app secret tells no app: the installation's is everybody's.
- ``pauses`` and ``lifted:*`` likewise (:attr:`Limits.pauses`); a token's pause is always the
  vendor's own. What Meta answers to a token that may not do something is of the token
  (``ErrorClass.PAUSE_TOKEN``, ``holds.OF_THE_CALLER``), so it stops nobody else.
- What a status tells is its vendor's word: the number counts if PHP lists it as the vendor's, the
  account is that number's, and never the one that the webhook names (``status_errors.py``).
- ``errors:*``, ``halt:*``, ``wait:*``, ``blocked:*``, ``ledger:*``, ``claims:*`` and leases are by
  campaign. The campaign of a status is PHP's answer, which looks for wamid and callback data among
  the vendor's own rows. Claims, releases and results name vendor and campaign, and PHP refuses
  those that do not belong together (``tests/contract/test_isolation.py``).
- ``suppressed:*``, ``effect:*``, ``effects:*``, ``outbox:*``, ``inbox:*``, ``count:*`` and the
  digest in ``dedup:*`` are by vendor.
- A message that PHP asks for from a number that is not the vendor's goes out with the vendor's own
  token, which Meta refuses, on a line of the vendor's own.
- Unknown messages are settled by a person, and changes announced by PHP
  (``/internal/invalidate``): calls that are signed with a key that no vendor has.
"""

import re
from dataclasses import dataclass

from contracts.backend import VendorConfig, Verified
from sidecar.sending.pauses import own_name, pause_name
from sidecar.sending.rates import rate_of, say_once
from sidecar.settings import Settings
from workers.sending.holds import Scope

#: What Meta's ids look like.
_ID = re.compile("[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a ``number`` that a vendor sends from, at ``rate`` messages per second. ``line``,
    ``account``, ``app`` and ``portfolio`` are the names of the number and of what it belongs to;
    whoever has the same name shares its slots, holds and pauses, and its ``daily_recipients``
    (None: no limit is kept)."""

    number: str
    rate: float
    vendor_uid: str
    line: str
    account: str
    app: str
    portfolio: str
    daily_recipients: int | None = None

    def name(self, scope: Scope) -> str:
        """Return the name of the number, account, app or token."""
        return {
            Scope.NUMBER: self.line,
            Scope.ACCOUNT: self.account,
            Scope.APP: self.app,
            Scope.TOKEN: self.vendor_uid,
        }[scope]

    @property
    def pauses(self) -> list[str]:
        """The names of all pauses that keep it from sending (``sidecar/sending/pauses.py``)."""
        names = [
            pause_name(Scope.TOKEN, self.vendor_uid),
            pause_name(Scope.NUMBER, self.line),
            pause_name(Scope.NUMBER, own_name(self.vendor_uid, self.number)),
            pause_name(Scope.ACCOUNT, self.account),
        ]
        return list(dict.fromkeys(names))

    @classmethod
    def of(cls, config: VendorConfig, number: str, settings: Settings) -> "Limits":
        """Return the limits of a vendor's number."""
        uid, told = config.vendor_uid, _told_by_meta(config, number)
        account = told.account_id or own_name(uid, config.whatsapp_business_account_id or "")
        portfolio = told.portfolio_id or (
            own_name(uid, config.portfolio_id) if config.portfolio_id else account
        )
        daily = config.daily_recipients
        if daily is not None and daily < 1:
            say_once("daily_recipients_wrong_and_ignored", config.vendor_uid, daily)
            daily = None
        return cls(
            number=number,
            rate=rate_of(config, number, settings),
            vendor_uid=uid,
            line=number if told.account_id else own_name(uid, number),
            account=account,
            app=told.app_id or own_name(uid, "app"),
            portfolio=portfolio,
            daily_recipients=daily,
        )


def _told_by_meta(config: VendorConfig, number: str) -> Verified:
    """Return what is verified of a number; nothing, if not even its account is."""
    known = {one.phone_number_id: one.verified for one in config.phone_numbers}
    told = known.get(number)
    if told is None or not (_ID.fullmatch(number) and _ID.fullmatch(told.account_id)):
        return Verified(account_id="")
    ids = {"portfolio_id": told.portfolio_id, "app_id": told.app_id}
    return Verified(
        account_id=told.account_id,
        **{name: id_ for name, id_ in ids.items() if id_ and _ID.fullmatch(id_)},
    )
