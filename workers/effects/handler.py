"""Effects on their way: what a handler gets, and how it may end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.backend import VendorConfig
from contracts.effects import EffectKind
from sidecar.effects.outbox import Queued


@dataclass(frozen=True, slots=True)
class Done:
    """It has happened, or need not happen any more. ``effects`` follow from it, as PHP has named
    them; they are put on disk in the step that takes this one off."""

    effects: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Again:
    """It has failed for now. ``after_s``: not before; None: by the usual pauses, which double.
    ``counts``: as an attempt, of which there are so many; what is nobody's fault (the limit of a
    server, a pause) does not."""

    reason: str
    after_s: float | None = None
    counts: bool = True


@dataclass(frozen=True, slots=True)
class GivenUp:
    """It cannot happen. It goes to the dead letters, with the reason."""

    reason: str


End = Done | Again | GivenUp


__all__ = ["Again", "Done", "End", "GivenUp", "Handler", "Queued"]


class Handler(Protocol):
    """Does effects of one kind, for any vendor. Belongs to one event loop.

    ``batch``: how many of a vendor's effects one :meth:`do` may get. ``at_once``: how many
    :meth:`do` of one vendor may run at the same time.
    """

    kind: EffectKind
    batch: int
    at_once: int

    def arrived(self, queued: Queued) -> None:
        """Take note of an effect that has come, in the order in which they came, and before
        :meth:`do` gets it. It may come again with more attempts."""

    async def do(self, config: VendorConfig, batch: list[Queued]) -> list[End]:
        """Do effects of one vendor, and return how each has ended, in their order. An exception
        counts as :class:`Again` for all of them, and is logged."""

    async def close(self) -> None:
        """Close connections."""
