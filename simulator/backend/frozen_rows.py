"""What rows of a campaign are sent with, and which of them can or must not be sent."""

from dataclasses import dataclass
from typing import Any

from simulator.backend.campaigns import Campaign
from simulator.backend.database import Row
from simulator.backend.jsontext import dump, load, section
from simulator.backend.opt_outs import MESSAGES, why_not
from simulator.backend.recipients import recipient_of
from simulator.backend.work import Work

#: What of the queue is needed for it.
COLUMNS = """
    _id, _uid, phone_with_country_code, retries, contacts__id, __data,
    (SELECT whatsapp_opt_out FROM contacts WHERE contacts._id = contacts__id) AS whatsapp_opt_out,
    (SELECT wa_blocked_at FROM contacts WHERE contacts._id = contacts__id) AS wa_blocked_at,
    (SELECT _uid FROM contacts WHERE contacts._id = contacts__id) AS contact_uid,
    (SELECT json_extract(contacts.__data, '$.user_id') FROM contacts
     WHERE contacts._id = contacts__id) AS user_id
"""

#: Why a row is never sent.
_NOBODY = "The row has no phone number, and its contact no user id."
_NO_TEMPLATE = "The row has no template, or no language."
_INVALID = "campaign_data_invalid_error"


@dataclass(frozen=True, slots=True)
class FrozenRow:
    """``parameters`` as :class:`contracts.backend.ClaimedRow` has them. ``error`` and ``message``,
    as ``process_response`` has them, say why the row is not sent; None: it can be."""

    parameters: dict[str, Any]
    error: str | None = None
    message: str = ""


def frozen_rows(work: Work, campaign: Campaign, rows: list[Row]) -> list[FrozenRow]:
    """Return one for each row."""
    parameters = [_parameters(row, campaign) for row in rows]
    categories = _categories(work, campaign, parameters)
    found = []
    for row, one in zip(rows, parameters, strict=True):
        category = categories.get((one["template_name"], one["template_language"]))
        one = {**one, "template_category": category}
        if (why := why_not(work.config.campaign_opt_outs, row, category)) is not None:
            found.append(FrozenRow(one, why, MESSAGES[why]))
        elif (fault := _fault(one)) is not None:
            found.append(FrozenRow(one, _INVALID, fault))
        else:
            found.append(FrozenRow(one))
    return found


def _fault(parameters: dict[str, Any]) -> str | None:
    if not (parameters["to"] or parameters["recipient"]):
        return _NOBODY
    if not (parameters["template_name"] and parameters["template_language"]):
        return _NO_TEMPLATE
    return None


def _categories(
    work: Work, campaign: Campaign, parameters: list[dict[str, Any]]
) -> dict[tuple[str, str], str]:
    """Return Meta's words by name and language, of templates that are known."""
    names = {one["template_name"] for one in parameters if one["template_name"]}
    rows = work.db.rows(
        "SELECT template_name, language, upper(trim(category)) AS category FROM whatsapp_templates"
        " WHERE vendors__id = (SELECT vendors__id FROM campaigns WHERE _id = ?)"
        " AND template_name IN (SELECT value FROM json_each(?)) ORDER BY _id",
        (campaign.id, dump(list(names))),
    )
    return {
        (row["template_name"], row["language"]): row["category"] for row in rows if row["category"]
    }


def _parameters(row: Row, campaign: Campaign) -> dict[str, Any]:
    kept = load(row["__data"])
    data = section(kept, "campaign_data")
    components = data.get("messageComponents")
    number = data.get("fromPhoneNumberId")
    return {
        "uid": row["_uid"],
        "contact_uid": row["contact_uid"],
        **recipient_of(row["phone_with_country_code"], row["user_id"], kept),
        "retries": row["retries"] or 0,
        "from_phone_number_id": str(number) if number else None,
        "template_name": _text(data.get("whatsAppTemplateName")) or campaign.template_name,
        "template_language": _text(data.get("whatsAppTemplateLanguage"))
        or campaign.template_language,
        "components": components if isinstance(components, list) else [],
    }


def _text(value: object) -> str | None:
    """Return a text. A template's name of digits alone may stand there as a number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number or isinstance(value, str) else None
