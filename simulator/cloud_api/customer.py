"""Who customers are: a phone number, a user id in place of it or beside it, and a name."""

import hashlib
from dataclasses import dataclass
from typing import Any

NAMES = ("Aarav", "Zoë", "José", "Maria", "Mehmet", "Łukasz", "Priya", "John", "Fatima", "李娜")

#: Lengths of the part of a user id that is behind the country, as they occur.
_USER_ID_LENGTHS = (20, 18, 40, 128)


@dataclass(frozen=True, slots=True)
class Customer:
    """``wa_id`` is None for one who hides the number. At least one of ``wa_id`` and ``user_id`` is
    there."""

    wa_id: str | None = None
    user_id: str | None = None
    username: str | None = None

    @property
    def address(self) -> str:
        """What a message goes to."""
        return self.wa_id or self.user_id or ""

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(one for one in (self.wa_id, self.user_id) if one is not None)

    @property
    def name(self) -> str:
        """The same customer always has the same name."""
        tail = self.address[-3:]
        return NAMES[int(tail) % len(NAMES)] if tail.isdecimal() else NAMES[0]

    def contact(self) -> dict[str, Any]:
        """Return what stands in ``contacts``."""
        profile = {"name": self.name}
        if self.username is not None:
            profile["username"] = self.username
        return {"profile": profile, **_present(wa_id=self.wa_id, user_id=self.user_id)}

    def sender(self) -> dict[str, Any]:
        """Return the members of a message that say whom it is from."""
        return _present(**{"from": self.wa_id}, from_user_id=self.user_id)


def _present(**members: str | None) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def hidden(wa_id: str, share: float) -> bool:
    """Tell whether the one with this number is among the share of those who hide it."""
    return int.from_bytes(hashlib.sha256(wa_id.encode()).digest()[:4]) < share * 2**32


def hiding(wa_id: str) -> Customer:
    """Return the one with this number, who does not show it."""
    digest = hashlib.sha256(wa_id.encode())
    length = _USER_ID_LENGTHS[digest.digest()[4] % len(_USER_ID_LENGTHS)]
    letters = (digest.hexdigest() * 2)[:length]
    return Customer(user_id=f"US.{letters}", username=f"user.{wa_id[-6:]}")


class CustomerBook:
    """The customers who have user ids, and the addresses that nobody is at any more."""

    def __init__(self) -> None:
        self._by_address: dict[str, Customer] = {}
        self._gone: set[str] = set()

    def __len__(self) -> int:
        return len(self._by_address)

    def learn(self, customer: Customer) -> Customer:
        """Remember a customer, with what is known already. One with a number alone is not worth
        it."""
        known = [self._by_address[a] for a in customer.addresses if a in self._by_address]
        if customer.user_id is None and not known:
            return customer
        whole = Customer(
            customer.wa_id,
            customer.user_id or next((one.user_id for one in known if one.user_id), None),
            customer.username or next((one.username for one in known if one.username), None),
        )
        for address in whole.addresses:
            self._by_address[address] = whole
            self._gone.discard(address)
        return whole

    def find(self, address: str) -> Customer:
        """Return the customer at an address: a user id or a number in its usual form."""
        known = self._by_address.get(address)
        if known is not None:
            return known
        return Customer(wa_id=address) if address.isdecimal() else Customer(user_id=address)

    def is_gone(self, address: str) -> bool:
        """Tell whether the customer who had this address has another one now."""
        return bool(self._gone) and address in self._gone

    def replace(self, old: Customer, new: Customer) -> None:
        """Have a customer change the number or the user id."""
        for address in old.addresses:
            self._by_address.pop(address, None)
            if address not in new.addresses:
                self._gone.add(address)
        self.learn(new)
