"""Asking PHP whether a setting has changed, before a refusal that this would explain has
consequences.

PHP announces changes, and a run follows those (``Pipeline.follow``). One that was not announced, or
whose announcement was lost, shows as a refusal: of an old access token, say, or of a number that
the vendor has no more. Before anything is paused for that, PHP is asked: if what the message was
sent with has changed, it goes again with what is right now.
"""

import asyncio
import time
from collections.abc import Callable

from contracts.backend import VendorConfig
from sidecar.logs import LogOnce
from sidecar.php.client import BackendError
from workers.sending.error_policy import Decision
from workers.sending.send_config import SendConfig, Way
from workers.sending.send_queue import ClaimedSend
from workers.sending.services import VendorConfigs

#: So long PHP may take to answer.
ASK_S = 3.0
#: So long nothing is sent where PHP did not answer; then it is tried again.
SILENT_S = 3.0

#: Codes that stop a campaign because of its template, whatever the vendor's settings are.
OF_THE_TEMPLATE = frozenset({132007, 132015, 132016, 132068})


def may_be_outdated(decision: Decision) -> bool:
    """Tell whether a setting that has changed would explain a refusal."""
    code = decision.error.code if decision.error else None
    return decision.pause is not None or (decision.stops_campaign and code not in OF_THE_TEMPLATE)


class Recheck:
    """Of one run, which sends nothing while PHP is asked, or where it did not answer (``busy``).
    ``follow`` takes what PHP says; ``wake`` has the run look again."""

    def __init__(
        self,
        vendors: VendorConfigs,
        config: SendConfig,
        follow: Callable[[VendorConfig | None], None],
        wake: Callable[[], None],
    ) -> None:
        self._vendors = vendors
        self._config = config
        self._follow = follow
        self._wake = wake
        self._asking = 0
        self._silent_until = 0.0
        self._outage = LogOnce(
            "refusal.unexplained", vendor=config.vendor_uid, campaign=config.name
        )

    @property
    def busy(self) -> bool:
        return self._asking > 0 or time.monotonic() < self._silent_until

    async def explains(self, row: ClaimedSend, way: Way, sent_at: float) -> bool:
        """Tell whether a row that was refused is to go again: it is sent in another way by now than
        it was, or PHP does not say how, or the run ends because the vendor is gone. ``sent_at``: by
        ``time.monotonic``; what PHP has said since is not asked again, so refusals that come
        together ask once."""
        if self._config.way_of(row) != way:
            return True
        return not await self.ask(sent_at) or self._config.way_of(row) != way

    async def ask(self, since: float) -> bool:
        """Follow what PHP says, as of then or later. Return False if it does not answer, or says
        that there is no such vendor any more."""
        self._asking += 1
        try:
            async with asyncio.timeout(ASK_S):
                vendor = await self._vendors.get_since(self._config.vendor_uid, since)
        except (BackendError, TimeoutError) as error:
            self._outage.failed(str(error) or "PHP did not answer in time")
            self._silent_until = time.monotonic() + SILENT_S
            asyncio.get_running_loop().call_later(SILENT_S, self._wake)
            return False
        finally:
            self._asking -= 1
            self._wake()
        self._outage.worked()
        self._follow(vendor)
        return vendor is not None
