"""Effects of every update that is done: for the vendor's own webhook, and for open browsers."""

from typing import Any

from contracts.backend import Update, UpdateKind
from contracts.effects import EffectKind
from simulator.backend.envelope import Part, text
from simulator.backend.messages import id_of
from simulator.backend.outcome import Outcome
from simulator.backend.vendors import Vendor


def announcements(
    vendor: Vendor, part: Part, update: Update, outcome: Outcome
) -> list[dict[str, Any]]:
    """Return the forward and the broadcast, where the vendor has a target for them.

    The broadcast says no more than what has changed, so that like ones are sent once.
    """
    effects: list[dict[str, Any]] = []
    if vendor.forward is not None:
        effects.append(
            {
                "kind": EffectKind.FORWARD.value,
                "id": id_of(vendor.uid, *_names(part, update), "forward"),
            }
        )
    if vendor.broadcaster is not None:
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
    wamid = text(part.element.get("id"))
    if wamid is None or part.kind is UpdateKind.CHANGE:
        return [update.id]
    if part.kind is UpdateKind.STATUS:
        return [wamid, str(part.element.get("status")), str(part.element.get("timestamp"))]
    return [wamid]
