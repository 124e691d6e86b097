"""Who is there in a round: a vendor that only works, and those that attack it."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from contracts import sidecar_api as api
from contracts.effects import ForwardTarget
from simulator import control
from simulator.adversary.payloads import Pen, Post
from simulator.adversary.plan import Plan
from simulator.adversary.shapes import ATTACK_S, SHAPES, Shape
from simulator.adversary.stage import AdversaryStage
from simulator.backend.seed import SeededCampaign, SeededVendor

#: The victim has been at work for so long when the attack begins, and for so long after it.
CALM_S = 0.8
CUSTOMERS_PER_S = 10.0
CUSTOMERS = int(CUSTOMERS_PER_S * (CALM_S + ATTACK_S + CALM_S))
CAMPAIGN = 60
RATE = 20.0

#: What a failed message says, so that a number or an account is paused.
PAUSING = (131031, 131042, 131048, 131045, 368, 33)

#: Webhooks that are not answered 200 come again soon, and no message fails by itself.
_CLOUD_API: dict[str, Any] = {
    "sent_delay_ms": (20, 200),
    "delivered_delay_ms": (20, 300),
    "read_delay_ms": (20, 300),
    # Floods go past it, so it does not know who has written.
    "service_window_s": 0,
    "inbound_customers": 40,
    "inbound_types": {"text": 8, "image": 1, "button": 1},
    "webhook_connections": 8,
    "webhook_timeout_ms": 6000,
    "retry_first_ms": 100,
    "retry_factor": 1.5,
    "retry_max_ms": 500,
}


@dataclass(frozen=True, slots=True)
class Attacker:
    """``campaign`` is sent for it; None where its shapes need none."""

    vendor: SeededVendor
    names: tuple[str, ...]
    campaign: SeededCampaign | None

    @property
    def shapes(self) -> list[Shape]:
        return [SHAPES[name] for name in self.names]

    @property
    def number(self) -> str:
        return self.vendor.phone_number_ids[0]

    def posts(self, seed: str) -> list[Post]:
        """Return what it posts; another ``seed`` makes other messages of it."""
        rng = Random(f"{seed} {self.vendor.uid}")
        pen = Pen(self.vendor, rng, f"{rng.getrandbits(64):016x}x")
        return [post for shape in self.shapes for post in shape.posts(pen)]


class Cast:
    """Adds the vendors of a round, and a Cloud API that knows them."""

    def __init__(self, stage: AdversaryStage, plan: Plan) -> None:
        self._stage = stage
        installation = stage.installation
        [self.victim] = installation.seed_vendors(messages_per_second=RATE)
        self.campaign = installation.seed_campaign(self.victim.uid, CAMPAIGN, paused=True)
        self.attackers = [self._attacker(plan, names) for names in plan.attackers]
        stage.new_cloud_api({**_CLOUD_API, "seed": plan.seed, "phone_numbers": self._numbers()})
        for attacker in self.attackers:
            if any(shape.garbage for shape in attacker.shapes):
                fault = {"kind": "garbage", "garbage": plan.garbage, "times": 20}
                stage.order("faults", {**fault, "phone_number_id": attacker.number})

    @property
    def vendors(self) -> list[SeededVendor]:
        return [self.victim, *(attacker.vendor for attacker in self.attackers)]

    def work(self) -> None:
        """Have the victim send its campaign, and its customers write."""
        order = {"phone_number_id": self.victim.phone_number_ids[0], "count": CUSTOMERS}
        self._stage.order("inbound", {**order, "per_s": CUSTOMERS_PER_S})
        self._stage.call(api.CAMPAIGN_SEND, self.campaign.uid)

    def _attacker(self, plan: Plan, names: tuple[str, ...]) -> Attacker:
        shapes = [SHAPES[name] for name in names]
        installation = self._stage.installation
        options: dict[str, Any] = {"app_secret": f"secret of {names} in {plan.seed}"}
        foreign = any(shape.foreign_account for shape in shapes)
        if foreign:
            options["access_token"] = "no-token-of-mine"
        [vendor] = installation.seed_vendors(messages_per_second=RATE, **options)
        if foreign:
            installation.database.rows(
                "UPDATE vendor_settings SET value = ? WHERE vendors__id = ? AND name = ?",
                [self.victim.business_account_id, vendor.id, "whatsapp_business_account_id"],
            )
        for shape in shapes:
            if shape.forward is not None:
                url = f"{self._stage.vendor_webhook.url}/hook"
                installation.seed_effects(vendor.uid, forward=ForwardTarget(url=url, secret=None))
                fault = {**shape.forward, "body_contains": vendor.business_account_id}
                control.order(self._stage.vendor_webhook, "faults", fault)
                break
        messages = sum(shape.campaign for shape in shapes)
        if not messages:
            return Attacker(vendor, names, None)
        campaign = installation.seed_campaign(vendor.uid, messages, paused=True)
        return Attacker(vendor, names, campaign)

    def _numbers(self) -> list[dict[str, Any]]:
        """Return the numbers. Who frames tells the statuses of its messages itself."""
        liars = {a.vendor.uid for a in self.attackers if any(shape.frames for shape in a.shapes)}
        return [
            {
                "phone_number_id": number,
                "account_id": vendor.business_account_id,
                "messages_per_s": RATE,
                "webhook_url": None
                if vendor.uid in liars
                else self._stage.installation.webhook_url(vendor.uid),
            }
            for vendor in self.vendors
            for number in vendor.phone_number_ids
        ]

    # -- what attackers can only post when something was sent --

    def frame(self, attacker: Attacker, plan: Plan) -> Iterator[Post]:
        """Yield failures of the attacker's own messages that name the victim's number and account,
        and statuses of the victim's messages, as its shapes want them."""
        pen = Pen(attacker.vendor, Random(f"frame {plan.seed}"), "unused")
        shapes = attacker.shapes
        victim: dict[str, Any] = {
            "number": self.victim.phone_number_ids[0],
            "account": self.victim.business_account_id,
        }
        for message in self._stage.lines("messages"):
            of_victim = message["phone_number_id"] == victim["number"]
            if any(s.meddles if of_victim else s.frames for s in shapes):
                error = {"code": pen.rng.choice(PAUSING), "title": "failed", "message": "failed"}
                failed = pen.status(message["wamid"], "failed", errors=[error])
                failed["biz_opaque_callback_data"] = message["callback_data"]
                yield pen.post(0.0, statuses=[failed], **victim)
