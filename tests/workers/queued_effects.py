"""What tests of the effects' handlers share."""

from typing import Any

from contracts.backend import VendorConfig
from contracts.effects import Effect
from sidecar.metrics import EFFECT_CALLS, METRICS
from workers.effects.handler import Queued

VENDOR = "8f3c1e52-7f0d-4c0e-9a3b-2f6f1d3b5a10"


def config(vendor_uid: str = VENDOR, **known: Any) -> VendorConfig:
    return VendorConfig.model_validate({"vendor_uid": vendor_uid, **known})


def queued(effect: Effect, *, attempts: int = 0, put_at: int = 1, id_: str | None = None) -> Queued:
    return Queued(id_ or effect.id or "stands for it", VENDOR, effect, put_at, attempts)


class Counted:
    """What was counted of calls since this was made."""

    def __init__(self) -> None:
        self._before = self._read()

    def _read(self) -> dict[tuple[str, ...], float]:
        return {s.labels: v for s, v in METRICS.read().items() if s.name == EFFECT_CALLS.name}

    def since(self) -> dict[tuple[str, ...], float]:
        found = {labels: v - self._before.get(labels, 0) for labels, v in self._read().items()}
        return {labels: value for labels, value in found.items() if value}
