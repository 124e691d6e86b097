"""Replays and discards many dead letters, for the command line and the console alike."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sidecar.ops.dead_letter import DeadLetter, LetterRef
from sidecar.ops.dead_letters import PAGE, DeadLetters, batched


class LetterAction(StrEnum):
    REPLAY = "replay"
    DISCARD = "discard"


@dataclass(slots=True)
class Carried:
    """What was done so far: it is true also while an error ends the work. ``gone`` were not there
    any more, or wait already; ``failed`` cannot be replayed, by why."""

    done: int = 0
    gone: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def counts(self) -> dict[str, int]:
        """Return what was done in numbers; only of what there was."""
        found = {"done": self.done, "gone": self.gone, "failed": self.failed.total()}
        return {name: count for name, count in found.items() if count or name == "done"}

    @property
    def text(self) -> str:
        """Return what was left out, in words; empty where nothing was."""
        words = [f"{self.gone:,} not there any more"] if self.gone else []
        words += [f"{count:,} cannot be replayed: {why}" for why, count in self.failed.items()]
        return "; ".join(words)


async def carry_out(
    letters: DeadLetters, action: LetterAction, refs: Sequence[LetterRef], carried: Carried
) -> None:
    """Replay or discard these, and count it in ``carried``. May be repeated: a letter is replayed
    once. Raises redis-py's errors."""
    if action is LetterAction.DISCARD:
        for some in batched(refs, PAGE):
            discarded = await letters.discard(some)
            carried.done += discarded
            carried.gone += len(some) - discarded
        return
    seen = 0
    async for ref, data in letters.stored(refs):
        seen += 1
        try:
            replayed = await letters.replay(DeadLetter.load(ref, data))
        except (ValueError, KeyError, TypeError) as error:
            # A later version has written it, or somebody has edited it; it stays where it is.
            carried.failed[f"{type(error).__name__} in what is stored"] += 1
            continue
        carried.done += replayed
        carried.gone += not replayed
    carried.gone += len(refs) - seen
