"""Numbers, accounts and access tokens that are paused: nothing goes out from them until a person
has acted.

A refusal, or a failed status, has said that every further message would be refused too, or do
harm (:class:`contracts.cloud_api.errors.ErrorClass`). No slots of it are given out from then on
(``lua/grant.lua``), so every campaign that wants some is paused with the reason. It is resumed
when a person starts or resumes a campaign of the vendor, or says ``sidecar numbers resume``: if
the fault stands, the first message pauses it again. A failure from before that moment, which a
late status may tell, says nothing new.

A pause is of one vendor, unless it is *shared*: of a number or an account that Meta has confirmed
to be the vendor's (``workers/sending/limits.py``). Then it stops whoever else has it confirmed, and
any of them may resume it.
"""

from dataclasses import asdict, dataclass
from typing import cast

import orjson

from contracts.cloud_api.errors import NUMBER_GONE
from sidecar.redis import keys
from sidecar.redis.client import Hash, Redis, script
from sidecar.redis.clock import redis_now_us

#: How long it is remembered that a person had something tried again: Meta repeats webhooks that
#: were not taken for seven days.
LIFTED_S = 7 * 86_400

#: What to do about a number that Meta does not know, or that is not the access token's.
COMPARE_IDS = (
    "compare the phone number id in PHP with WhatsApp Manager, and the accounts of the token's "
    "system user"
)


def own_name(vendor_uid: str, id_: str) -> str:
    """Return the name of a vendor's own number, account or other thing. No id of Meta's looks like
    it, and no other vendor's does."""
    return f"{vendor_uid}/{id_}"


def pause_name(scope: str, name: str) -> str:
    """Return the name of the pause of a number, an account or a token."""
    return f"{scope}:{name}"


@dataclass(frozen=True, slots=True)
class Paused:
    """``scope`` is ``number``, ``account`` or ``token``, and ``id`` which: of a token the vendor's
    uid. ``at``: when what went wrong happened, unix ms. ``vendor_uid``: whose message it was.
    ``shared``: it stops other vendors too; older versions wrote nothing else."""

    scope: str
    id: str
    vendor_uid: str
    code: int | None
    reason: str
    at: int
    shared: bool = True

    @property
    def of(self) -> str:
        """The name of what is paused (``workers/sending/limits.py``)."""
        if self.shared or self.scope == "token":
            return self.id
        return own_name(self.vendor_uid, self.id)

    @property
    def name(self) -> str:
        return pause_name(self.scope, self.of)

    @property
    def what(self) -> str:
        """What is paused, in words."""
        if self.scope == "token":
            return f"the access token of vendor {self.vendor_uid}"
        if self.shared:
            return f"{self.scope} {self.id}"
        which = self.scope if not self.id else f"{self.scope} {self.id}"
        return f"{which} of vendor {self.vendor_uid}"

    @property
    def by(self) -> str:
        """Whom it stops beside its vendor, and why them; nothing if it stops nobody else."""
        return f" for all its vendors, by a message of {self.vendor_uid}" if self.shared else ""

    @property
    def fix(self) -> str:
        """What a person can do about it."""
        if self.scope == "token":
            return "enter an access token in PHP that may send"
        if self.scope == "number" and self.code in NUMBER_GONE:
            return COMPARE_IDS
        return "settle it in WhatsApp Manager"

    def __str__(self) -> str:
        return f"{self.what} is paused{self.by}: {self.reason}"

    def dump(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def load(cls, value: bytes) -> "Paused":
        return cls(**orjson.loads(value))


class Pauses:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pause = script(redis, "sending/pause")

    async def put(self, paused: Paused) -> bool:
        """Pause something. Return False if it is paused already, or if a person has acted
        since."""
        return bool(
            await self._pause(
                keys=[keys.PAUSES, keys.lifted(paused.scope, paused.of)],
                args=[paused.name, paused.dump(), paused.at],
            )
        )

    async def all(self) -> list[Paused]:
        """Return what is paused, the longest first."""
        found = cast(Hash, await self._redis.hgetall(keys.PAUSES))
        return sorted(map(Paused.load, found.values()), key=lambda paused: paused.at)

    async def lift(self, pauses: list[Paused]) -> None:
        """Have them tried again."""
        if not pauses:
            return
        now = await redis_now_us(self._redis) // 1000
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hdel(keys.PAUSES, *(paused.name for paused in pauses))
        for paused in pauses:
            pipeline.set(keys.lifted(paused.scope, paused.of), now, ex=LIFTED_S)
        await pipeline.execute()
