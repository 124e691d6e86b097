"""Who may call for which number: access tokens, and numbers that are gone."""

import secrets
from dataclasses import dataclass

from simulator.cloud_api.clock import Clock
from simulator.cloud_api.number import Number, Numbers
from simulator.cloud_api.refusal import Refusal

_TOKEN = 190
_UNKNOWN = 100
_UNKNOWN_SUBCODE = 33


@dataclass(frozen=True, slots=True)
class _Retired:
    """A token that was replaced: valid until then (unix s), and then refused with ``subcode``."""

    valid_until: float
    subcode: int


class Access:
    """Checks calls as Meta does: the token first, then whether the number is there."""

    def __init__(self, numbers: Numbers, clock: Clock) -> None:
        self._numbers = numbers
        self._clock = clock
        self._retired: dict[tuple[str, bytes], _Retired] = {}
        self._removed: set[str] = set()

    def number(self, authorization: bytes | None, phone_number_id: str) -> Number:
        """Return the number that may be used with this ``Authorization``, or raise
        :class:`Refusal`: 190, or 100 with subcode 33."""
        number = self._numbers.get(phone_number_id)
        if number is None:
            if authorization is None:
                raise Refusal(_TOKEN, "An access token is required.")
            raise gone(phone_number_id)
        self.check(authorization, number)
        if phone_number_id in self._removed:
            raise gone(phone_number_id)
        return number

    def check(self, authorization: bytes | None, number: Number) -> None:
        """Raise :class:`Refusal` with 190 unless the token is the account's."""
        if authorization is None:
            raise Refusal(_TOKEN, "An access token is required.")
        if authorization == number.authorization:
            return
        retired = self._retired.get((number.account_id, authorization))
        if retired is None:
            raise Refusal(_TOKEN, "Invalid OAuth access token - Cannot parse access token")
        if self._clock.now() >= retired.valid_until:
            expired = "Error validating access token: Session has expired."
            raise Refusal(_TOKEN, expired, subcode=retired.subcode)

    def rotate(
        self, numbers: list[Number], token: str | None, old_valid_s: float, subcode: int
    ) -> tuple[str, float]:
        """Replace the token of these numbers. The old one is valid for ``old_valid_s`` still and
        then refused with ``subcode``; so are those before it, where the token is in force already.
        Return the new token (made up if None is given), and until when the old one is valid, in
        unix seconds."""
        token = token or "simulated-" + secrets.token_urlsafe(24)
        valid_until = self._clock.now() + old_valid_s
        authorization = f"Bearer {token}".encode()
        for number in numbers:
            if number.authorization != authorization:
                old = (number.account_id, number.authorization)
                self._retired[old] = _Retired(valid_until, subcode)
            number.authorization = authorization
            self._retired.pop((number.account_id, authorization), None)
            for key in self._retired:
                if key[0] == number.account_id:
                    until = min(valid_until, self._retired[key].valid_until)
                    self._retired[key] = _Retired(until, self._retired[key].subcode)
        return token, valid_until

    def remove(self, phone_number_id: str) -> None:
        """Let the number be gone, until it is restored."""
        self._removed.add(phone_number_id)

    def restore(self, phone_number_id: str) -> None:
        self._removed.discard(phone_number_id)


def gone(object_id: str) -> Refusal:
    """What a call for an object gets that does not exist, or that the token may not see."""
    return Refusal(
        _UNKNOWN,
        f"Unsupported request. Object with ID '{object_id}' does not exist, cannot be loaded due "
        "to missing permissions, or does not support this operation.",
        subcode=_UNKNOWN_SUBCODE,
    )
