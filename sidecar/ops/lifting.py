"""Which holds are meant by a name, and lifting them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from contracts.cloud_api.people import main_form, phone_digits
from sidecar.ops.numbers import Line
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.sending.lifting import SCOPES, lift
from sidecar.sending.numbers import line_text, number_of

#: The state of a recipient who is held begins so (``lua/sending/pair.lua``), the second as an older
#: version wrote it; any other counts a burst, which is over in seconds.
_HELD_PAIR = (b"0.", b"0:")


@dataclass(frozen=True, slots=True)
class Lifted:
    """``scope`` is number, account, app or recipient, and ``name`` which, as Redis knows it.
    ``names``: what a person may call it."""

    scope: str
    name: str
    names: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        number, vendor_uid = number_of(self.name)
        return f"{self.scope} {line_text(number, vendor_uid)}: {self.what}"


class Lifting:
    """``states``: the lines that have sent lately."""

    def __init__(self, redis: Redis, states: Sequence[Line]) -> None:
        self._redis = redis
        self._states = states

    async def lift(self, names: Sequence[str], recipient: str | None) -> list[Lifted]:
        """Lift what is meant; without names, all. With a recipient, what holds only that one."""
        wanted = [
            (scope, name, called)
            for (scope, name), called in self._known(names).items()
            if not names or called & {*names}
        ]
        lifted: list[Lifted] = []
        for scope, name, called in wanted:
            if recipient is None:
                found = await lift(self._redis, scope, name)
            else:
                found = await self._lift_pair(scope, name, recipient)
            lifted += [Lifted(scope, name, tuple(sorted(called)), what) for what in found]
        return lifted

    async def lift_exactly(self, scope: str, name: str) -> list[Lifted]:
        """Lift this one, and no other that is called the same. Raises :class:`ValueError` for a
        scope that there is not."""
        return [Lifted(scope, name, (name,), what) for what in await lift(self._redis, scope, name)]

    def _known(self, names: Sequence[str]) -> dict[tuple[str, str], set[str]]:
        """Return all that may be held, and what each is called. What is named and not known may
        still be held: an account of which no number has sent lately."""
        known: dict[tuple[str, str], set[str]] = {
            (scope, name): {name} for name in names for scope in SCOPES
        }
        for line, state in self._states:
            scopes = [("number", line)]
            if state is not None:
                scopes += [("account", state.account), ("app", state.app)]
            for scope, name in scopes:
                id_, vendor_uid = number_of(name)
                called = {name, id_} | ({vendor_uid} if vendor_uid else set())
                known.setdefault((scope, name), set()).update(called - {""})
        return known

    async def _lift_pair(self, scope: str, line: str, recipient: str) -> list[str]:
        if scope != "number":
            return []
        digits = phone_digits(recipient)
        key = keys.pair(line, recipient if digits is None else main_form(digits))
        state = cast("bytes | None", await self._redis.get(key))
        if state is None or not state.startswith(_HELD_PAIR):
            return []
        await self._redis.delete(key)
        return [f"the hold of recipient {recipient}"]
