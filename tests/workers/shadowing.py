"""Shadow under test: a PHP side whose tables a test writes, and a clock that it turns."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from contracts import backend as contract
from sidecar.bots.cache import Bots
from sidecar.php.client import Backend
from sidecar.php.vendors import Vendors
from sidecar.redis import keys
from sidecar.redis.client import Redis
from sidecar.redis.lease import Lease, Leases
from sidecar.settings import Settings
from sidecar.shadow.parity import ParityReader, VendorParity
from sidecar.shadow.recorder import ShadowRecorder
from sidecar.shadow.rules import Class, Kind, Rule
from tests.workers.payloads import METADATA, VENDOR
from tests.workers.php import Answer, Call, Php, answer
from workers.shadow.work import LEASE, ShadowWork

Json = dict[str, Any]

#: As much as there is to be found: kind, class, rule.
Found = list[tuple[Kind, Class, Rule | None]]


@dataclass
class Clock:
    """Unix ms."""

    now: int

    def __call__(self) -> int:
        return self.now


@dataclass
class Tables:
    """What PHP says of a vendor. ``log`` holds observations by wamid."""

    modes: Json = field(default_factory=lambda: {"webhooks": "shadow", "bots": "shadow"})
    bots: list[Json] = field(default_factory=list)
    log: dict[str, Json] = field(default_factory=dict)
    config: Json = field(default_factory=dict)

    def logs(self, wamid: str, **more: Any) -> None:
        self.log[wamid] = {"logged": True, "incoming": False, **more}

    def logs_message(self, wamid: str, **more: Any) -> None:
        self.logs(wamid, **{"incoming": True, "status": "received", "bots": [], **more})


def tell(php: Php, tables: Tables, vendor_uid: str = VENDOR) -> None:
    """Have PHP answer from these tables for this vendor, and know no other."""

    def config(call: Call) -> Answer:
        mine = vendor_uid in call.json["vendor_uids"]
        known = {
            "vendor_uid": vendor_uid,
            "current_phone_number_id": METADATA["phone_number_id"],
            "modes": tables.modes,
            **tables.config,
        }
        return answer({"vendors": [known] if mine else []})

    def bots(call: Call) -> Answer:
        mine = vendor_uid in call.json["vendor_uids"]
        known = {"vendor_uid": vendor_uid, "bots": tables.bots}
        return answer({"vendors": [known] if mine else []})

    def observe(call: Call) -> Answer:
        nothing = {"logged": False}
        return answer(
            {"messages": [{**one, **tables.log.get(one["wamid"], nothing)} for one in asked(call)]}
        )

    def modes(call: Call) -> Answer:
        mine = {"vendor_uid": vendor_uid, "modes": tables.modes}
        return answer({"version": 1, "vendors": [mine]})

    php.when(contract.VENDOR_CONFIG, config)
    php.when(contract.MODES, modes)
    php.when(contract.BOTS, bots)
    php.when(contract.OBSERVE, observe)


def asked(call: Call) -> list[Json]:
    """Return the messages that PHP was asked for."""
    return cast(list[Json], call.json["messages"])


class Shadowing:
    """One vendor in shadow. Everything is done when a test says so; nothing takes time."""

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
        php: Php,
        backend: Backend,
        clock: Clock,
        vendor_uid: str = VENDOR,
    ) -> None:
        self.settings = settings
        self.redis = redis
        self.php = php
        self.clock = clock
        self.vendor_uid = vendor_uid
        self.tables = Tables()
        self.shadow = ShadowRecorder(redis)
        self._backend = backend
        self._caches: list[Vendors | Bots] = []
        self.work = self.make_work()

    def make_work(self) -> ShadowWork:
        """Make what another process would have."""
        vendors = Vendors(self._backend, ttl_s=60, unknown_ttl_s=60)
        bots = Bots(self._backend, ttl_s=60, unknown_ttl_s=60)
        self._caches += [vendors, bots]
        leases = Leases(self.redis, 10_000)
        self.work = ShadowWork(self.settings, self.redis, self._backend, leases, vendors, bots)
        return self.work

    async def close(self) -> None:
        for cache in self._caches:
            await cache.close()

    async def record(self, *bodies: bytes) -> None:
        for body in bodies:
            self.shadow.record(self.vendor_uid, body, self.clock.now)
        await self.shadow.close()

    async def _lease(self) -> Lease:
        lease = Lease(LEASE, 1)
        await self.redis.set(lease.key, lease.token)
        return lease

    async def take_on(self) -> None:
        """Plan all that was recorded."""
        while await self.work.take_on(await self._lease()):
            pass

    async def look(self) -> None:
        """Look at all that is due."""
        while await self.work.look(await self._lease()):
            pass

    async def pass_time(self, seconds: float) -> None:
        """Let the time pass, and do what is to be done in each second."""
        for _ in range(int(seconds)):
            self.clock.now += 1000
            await self.take_on()
            await self.look()
            await asyncio.sleep(0)

    async def shadow_them(self, *bodies: bytes) -> Found:
        """Note webhooks, let PHP's time pass, and return what was found."""
        await self.record(*bodies)
        await self.take_on()
        await self.look()
        await self.pass_time(self.settings.shadow_patience_s + 1)
        return await self.found()

    async def parity(self) -> VendorParity:
        return await ParityReader(self.redis).read(self.vendor_uid)

    async def found(self) -> Found:
        """Return everything that was found, as often as it was."""
        parity = await self.parity()
        found: Found = []
        for (kind, class_), count in parity.counts.items():
            rules = [(rule, n) for (one, rule), n in parity.rules.items() if one is kind]
            if class_ is not Class.EXPLAINED:
                found += [(kind, class_, None)] * count
                continue
            assert sum(n for _, n in rules) == count
            for rule, n in rules:
                found += [(kind, class_, rule)] * n
        return sorted(found, key=str)

    async def examples(self, kind: Kind, class_: Class) -> list[Json]:
        name = keys.parity_examples(self.vendor_uid, kind, class_)
        dumped = await cast(Any, self.redis).execute_command("LRANGE", name, 0, -1)
        return [orjson.loads(one) for one in dumped]

    async def waiting(self) -> int:
        return (await self.parity()).waiting
