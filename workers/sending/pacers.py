"""The pacers of a campaign: one for each number that its rows are sent from."""

from collections.abc import Callable

from workers.sending.pacer import Blocked, Pacer
from workers.sending.send_queue import ClaimedSend


class Pacers:
    """``number_of`` tells from which number a row is sent; ``make`` makes a number's pacer and
    sets it going."""

    def __init__(
        self, number_of: Callable[[ClaimedSend], str], make: Callable[[str], Pacer]
    ) -> None:
        self._number_of = number_of
        self._make = make
        self._pacers: dict[str, Pacer] = {}

    @property
    def planned(self) -> int:
        """How many rows have a slot, or are asked one for, and are not started yet."""
        return sum(pacer.planned for pacer in self._pacers.values())

    @property
    def waiting(self) -> int:
        """How many rows wait for slots."""
        return sum(len(pacer.rows) for pacer in self._pacers.values())

    @property
    def unstarted(self) -> int:
        """How many rows there are at all."""
        return sum(pacer.unstarted for pacer in self._pacers.values())

    def append(self, rows: list[ClaimedSend]) -> None:
        for row in rows:
            self._of(row).rows.append([row])

    def put_back(self, row: ClaimedSend) -> None:
        """Take a row again that had a slot and certainly was not sent."""
        self._of(row).put_back([row])

    def there_is_room(self) -> None:
        """Have every pacer look again how many sends may be under way."""
        for pacer in self._pacers.values():
            pacer.rows.changed.set()

    def take_unstarted(self) -> list[ClaimedSend]:
        """Return the rows that were certainly not started, once nothing runs any more."""
        return [row for pacer in self._pacers.values() for row in pacer.take_unstarted()]

    def take_blocked(self) -> list[ClaimedSend]:
        """Take the rows of numbers that are blocked."""
        pacers = [pacer for pacer in self._pacers.values() if pacer.blocked and not pacer.planned]
        return [row for pacer in pacers for row in pacer.rows.take_all()]

    def blocked(self) -> Blocked | None:
        """Return what ends first of that which blocks the rows, or None if any of them may go."""
        pacers = [pacer for pacer in self._pacers.values() if pacer.unstarted]
        blocks = [pacer.blocked for pacer in pacers if pacer.blocked and pacer.planned == 0]
        if not pacers or len(blocks) < len(pacers):
            return None
        return min(blocks, key=lambda blocked: blocked.until)

    def _of(self, row: ClaimedSend) -> Pacer:
        number = self._number_of(row)
        if number not in self._pacers:
            self._pacers[number] = self._make(number)
        return self._pacers[number]
