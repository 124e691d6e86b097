"""``vendor-config``: a vendor's numbers and secrets, out of ``vendor_settings``."""

import re
from typing import Any

from contracts.backend import VendorConfigRequest
from contracts.modes import Mode
from simulator.backend import vendors
from simulator.backend.envelope import text
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work


def vendor_config(work: Work, request: VendorConfigRequest) -> dict[str, Any]:
    found = work.vendors.load(request.vendor_uids)
    known = {vendor.uid for vendor in found}
    return {
        "vendors": [_config(vendor) for vendor in found],
        "unknown": [uid for uid in dict.fromkeys(request.vendor_uids) if uid not in known],
    }


def _config(vendor: Vendor) -> dict[str, Any]:
    settings = vendor.settings
    return {
        "vendor_uid": vendor.uid,
        "active": vendor.active,
        "access_token": settings.get(vendors.ACCESS_TOKEN) or None,
        "app_secrets": vendor.app_secrets,
        "whatsapp_business_account_id": settings.get(vendors.BUSINESS_ACCOUNT_ID) or None,
        "portfolio_id": settings.get(vendors.PORTFOLIO_ID) or None,
        "daily_recipients": _count(settings.get(vendors.DAILY_RECIPIENTS)),
        "current_phone_number_id": settings.get(vendors.CURRENT_PHONE_NUMBER_ID) or None,
        "phone_numbers": [_phone_number(number) for number in vendor.phone_numbers],
        "modes": vendor.modes.model_dump(mode="json"),
        "bots_on_sidecar": vendor.modes.bots == Mode.SIDECAR,
        "marketing_messages": vendor.marketing_messages,
        "ai_providers": [provider.model_dump() for provider in vendor.ai_providers],
        "forward": vendor.forward and vendor.forward.model_dump(),
        "broadcaster": vendor.broadcaster and vendor.broadcaster.model_dump(),
    }


def _phone_number(number: dict[str, Any]) -> dict[str, Any]:
    rate = number.get("messages_per_second")
    display = number.get("display_phone_number")
    return {
        "phone_number_id": number["id"],
        "display_phone_number": display if isinstance(display, str) else None,
        "messages_per_second": rate if isinstance(rate, int | float) and rate > 0 else None,
        # Meta's own name for it, in its list of an account's numbers.
        "coexistence": number.get("is_on_biz_app") is True,
        "verified": _verified(number.get("verified")),
    }


def _verified(told: object) -> dict[str, str | None] | None:
    """Return what Meta has told of a number; None without an account, which is all of it."""
    if not isinstance(told, dict):
        return None
    account_id, portfolio_id, app_id = map(
        text, (told.get("account_id"), told.get("portfolio_id"), told.get("app_id"))
    )
    if account_id is None:
        return None
    return {"account_id": account_id, "portfolio_id": portfolio_id, "app_id": app_id}


def _count(text: str | None) -> int | None:
    digits = (text or "").strip()
    return int(digits) if re.fullmatch("[0-9]{1,9}", digits) and int(digits) > 0 else None
