"""What changes while campaigns run: a vendor's settings, at Meta and in PHP, and its contacts."""

import time
from collections.abc import Iterable
from typing import Any

import orjson

from contracts import sidecar_api as api
from contracts.backend import QueueStatus
from simulator.backend import vendors as settings
from simulator.backend.seed import SeededVendor
from simulator.chaos.fault import RATES, TOLD, Fault, Kind
from simulator.chaos.load import Work
from simulator.chaos.stage import Stage, persist
from simulator.stack.database import SqlError

#: Within this time a MariaDB that was killed or suspended is back.
_DATABASE_BACK_S = 60.0
#: How long an old token is valid while the new one is on its way into PHP.
_MEANWHILE_S = 60.0
#: Announced changes are in force within this time.
IN_FORCE_S = 1.0
#: What was refused before a number was back has paused its campaigns within this time, mostly.
_SETTLED_S = 1.0
#: A claim that has begun before an opt-out was committed is over after this time.
_CLAIMED_S = 0.5

_SETTING = "UPDATE vendor_settings SET value = ? WHERE vendors__id = ? AND name = ?"
_WAITING = """
SELECT _uid, contacts__id FROM whatsapp_message_queue
WHERE campaigns__id = ? AND status = ? ORDER BY _id DESC"""
_OPT_OUT = "UPDATE contacts SET whatsapp_opt_out = 1 WHERE _id IN ({})"


class Changes:
    """``work`` has the vendors and the campaigns that faults name by their place."""

    def __init__(self, stage: Stage, work: Work) -> None:
        self._stage = stage
        self._work = work

    def token(self, fault: Fault) -> None:
        """Give a vendor a new token, write it into PHP's settings, and only then end the old one.
        If nobody tells the sidecar, it learns of it from the first refusal."""
        vendor = self._work.vendors[int(fault.target)]
        token = f"rotated-{time.time_ns()}"
        order = {"account_id": vendor.business_account_id, "access_token": token}
        self._stage.order("access-token", {**order, "old_valid_s": _MEANWHILE_S})
        database = self._stage.installation.database
        secret = database.encrypted(token)
        self._write(vendor, settings.ACCESS_TOKEN, secret)
        if fault.how == TOLD[0]:
            self._stage.call(api.INVALIDATE)
            time.sleep(IN_FORCE_S)
        self._stage.order("access-token", order)

    def rate(self, fault: Fault) -> dict[str, Any]:
        """Change how fast a vendor's number may send, by PHP's settings, and tell the sidecar.
        Return the number and its messages per second."""
        vendor = self._work.vendors[int(fault.target)]
        rate = self._work.rates[int(fault.target)] * RATES[fault.how]
        [number] = vendor.phone_number_ids
        numbers = [{"id": number, "messages_per_second": rate}]
        self._write(vendor, settings.PHONE_NUMBERS, orjson.dumps(numbers).decode())
        self._stage.call(api.INVALIDATE)
        return {"number": number, "per_s": rate}

    def number(self, fault: Fault) -> None:
        """Remove a vendor's number, put it back, and resume the vendor's campaigns as a person
        would."""
        [number] = self._work.vendors[int(fault.target)].phone_number_ids
        self._stage.order("numbers/remove", {"phone_number_id": number})
        try:
            time.sleep(fault.for_s)
        finally:
            self._stage.order("numbers/restore", {"phone_number_id": number})
        time.sleep(_SETTLED_S)
        resume_campaigns(self._stage, self._work, [fault])

    def opt_out(self, fault: Fault) -> dict[str, Any]:
        """Have the contacts of half of a campaign's waiting rows opt out. Return the rows of them
        that nobody had claimed by then: they must not be sent."""
        campaign = self._work.campaigns[int(fault.target)]
        waiting = self._rows(_WAITING, [campaign.id, QueueStatus.QUEUED])
        chosen = {row["contacts__id"] for row in waiting[: (len(waiting) + 1) // 2]}
        if not chosen:
            return {}
        marks = ", ".join("?" * len(chosen))
        self._rows(_OPT_OUT.format(marks), list(chosen))
        time.sleep(_CLAIMED_S)
        left = self._rows(_WAITING, [campaign.id, QueueStatus.QUEUED])
        return {"rows": tuple(row["_uid"] for row in left if row["contacts__id"] in chosen)}

    def _write(self, vendor: SeededVendor, name: str, value: str) -> None:
        self._rows(_SETTING, [value, vendor.id, name])

    def _rows(self, sql: str, parameters: list[Any]) -> list[dict[str, Any]]:
        found: list[list[dict[str, Any]]] = []
        database = self._stage.installation.database
        persist(lambda: found.append(database.rows(sql, parameters)), SqlError, _DATABASE_BACK_S)
        return found[-1]


def resume_campaigns(stage: Stage, work: Work, faults: Iterable[Fault]) -> bool:
    """Have a person resume the campaigns of vendors whose number was gone for a while. Return
    whether there are any. Who looks too soon has to look again: what was refused before the number
    was back may pause a campaign a moment later."""
    gone = {work.vendors[int(one.target)].uid for one in faults if one.kind is Kind.NUMBER}
    campaigns = [one.uid for one in work.campaigns if one.vendor_uid in gone]
    for uid in campaigns:
        stage.call(api.CAMPAIGN_RESUME, uid)
    return bool(campaigns)
