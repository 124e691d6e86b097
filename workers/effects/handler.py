"""What an effect handler gets, and how an effect may end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.backend import VendorConfig
from contracts.effects import EffectKind
from sidecar.effects.outbox import Queued


@dataclass(frozen=True, slots=True)
class Done:
    """It has happened, or need not happen any more. ``effects`` are those that PHP requests in
    turn; they are written to disk before this one is removed."""

    effects: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Again:
    """It has failed for now. ``after_s``: the earliest retry; None: after the usual doubling pause.
    ``counts``: as one of the limited attempts; what is nobody's fault (a server's limit, a pause)
    does not. ``refused``: a setting of the vendor's that has changed would explain it (a token, a
    key, a URL). PHP is asked, and if one has changed, the effect runs again at once."""

    reason: str
    after_s: float | None = None
    counts: bool = True
    refused: bool = False


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It cannot happen, and goes to the dead letters with the reason. ``refused``: see
    :class:`Again`."""

    reason: str
    refused: bool = False


End = Done | Again | GivenUp


__all__ = ["Again", "Done", "End", "GivenUp", "Handler", "Queued"]


class Handler(Protocol):
    """Runs effects of one kind, for any vendor. Belongs to one event loop.

    ``batch``: maximum effects per :meth:`do`. ``at_once``: maximum concurrent :meth:`do` of one
    vendor.
    """

    kind: EffectKind
    batch: int
    at_once: int

    def arrived(self, queued: Queued) -> None:
        """Prepare for an effect that has arrived, in order of arrival, before :meth:`do` gets it.
        It may come again with more attempts."""

    async def do(self, config: VendorConfig, batch: list[Queued]) -> list[End]:
        """Run effects of one vendor, and return how each has ended, in order. An exception counts
        as :class:`Again` for all of them, and is logged."""

    async def close(self) -> None:
        """Close connections."""
