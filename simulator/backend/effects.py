"""Effects of every update: for the vendor's own webhook and, if it is done, for open browsers."""

from typing import Any

from contracts.backend import Update, UpdateKind
from contracts.cloud_api.answering import is_placeholder
from contracts.cloud_api.people import NAMES
from contracts.effects import EffectKind
from simulator.backend.envelope import Part, text
from simulator.backend.messages import id_of
from simulator.backend.outcome import Outcome
from simulator.backend.vendors import Vendor

#: What tells the statuses of a message apart.
_OF_A_STATUS = ("status", "timestamp", *NAMES["status"])


def announcements(
    vendor: Vendor, part: Part, update: Update, outcome: Outcome
) -> list[dict[str, Any]]:
    """Return the forward, and the broadcast of what is done, where the vendor has a target for
    them.

    The broadcast says no more than what has changed, so that like ones are sent once.
    """
    effects: list[dict[str, Any]] = []
    if outcome.result not in ("done", "ignored"):
        return effects
    if vendor.forwards(part.field):
        effects.append(
            {
                "kind": EffectKind.FORWARD.value,
                "id": id_of(vendor.uid, *_names(part, update), "forward"),
            }
        )
    if vendor.broadcaster is not None and outcome.result == "done":
        element = part.element
        whom = element.get("from" if part.kind is UpdateKind.MESSAGE else "to")
        effects.append(
            {
                "kind": EffectKind.BROADCAST.value,
                "channels": [f"private-vendor-channel.{vendor.uid}"],
                "event": "VendorChannelBroadcast",
                "data": {
                    "kind": part.kind.value,
                    "wa_id": text(whom) or text(element.get("recipient_id")),
                    "campaign_uid": outcome.campaign_uid,
                },
            }
        )
    return effects


def _names(part: Part, update: Update) -> list[str]:
    """Return what an update is known by, however often it comes."""
    element = part.element
    wamid = text(element.get("id"))
    if wamid is None or part.kind is UpdateKind.CHANGE:
        return [update.id]  # told again if Meta sends it again
    if part.kind is UpdateKind.STATUS:
        return [wamid, *(str(element.get(name)) for name in _OF_A_STATUS)]
    if part.kind is UpdateKind.ECHO:
        return ["echo", wamid]
    # What Meta could not show yet may come once more, with its content.
    return [wamid, str(element["type"])] if is_placeholder(element) else [wamid]
