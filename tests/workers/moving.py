"""A campaign under test whose vendor is moved between PHP and the sidecar."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from contracts import backend as contract
from contracts.modes import (
    Capability,
    Mode,
    ModeChange,
    Modes,
    ModesAnswer,
    ModesRequest,
    may_become,
)
from contracts.sidecar_api import InvalidateRequest, InvalidateScope, ModesChange
from sidecar.migration.cutover import Cutover
from sidecar.php.config_feed import ConfigChanges
from sidecar.php.vendors import Vendors
from sidecar.tasks import cancel
from tests.workers.stage import Stage


class Moving:
    """A stage whose runs follow the modes that PHP keeps, as a worker's do."""

    def __init__(self, stage: Stage, **settings: Any) -> None:
        self.stage = stage
        self.settings = stage.settings.model_copy(update={"cron_settle_s": 0.0, **settings})
        self.vendors = Vendors(stage.backend, ttl_s=60, unknown_ttl_s=60)
        self.changes = ConfigChanges(stage.redis, {InvalidateScope.SETTINGS: self.vendors})
        stage.vendors = self.vendors

    def cutover(self, changes: ConfigChanges | None = None) -> Cutover:
        changes = changes or ConfigChanges(self.stage.redis, {})
        return Cutover(self.settings, self.stage.redis, self.stage.backend, changes)

    async def move(self, **asked: Any) -> tuple[Modes, str | None]:
        """Move the stage's vendor. Return its modes and what they wait for."""
        [moved] = (await self.cutover().move(self.asked(**asked))).vendors
        return moved.modes, moved.waits_for

    def asked(self, **values: Any) -> ModesChange:
        vendors = [self.stage.vendor.uid]
        return ModesChange(**{"vendor_uids": vendors, "by": "test", "timeout_s": 5.0, **values})

    async def elsewhere(self, vendor_uid: str | None = None, **modes: Mode) -> None:
        """Have somebody change a vendor's modes (the stage's) and tell nobody; campaigns in two
        steps where one is forbidden."""
        uid = vendor_uid or self.stage.vendor.uid
        answer = await self.cutover().read()
        [now] = [one.modes.campaigns for one in answer.vendors if one.vendor_uid == uid]
        steps: list[dict[str, Mode]] = [modes]
        if not may_become(Capability.CAMPAIGNS, now, modes.get("campaigns", now)):
            steps.insert(0, {"campaigns": Mode.HELD})
        for step in steps:
            change = ModeChange.model_validate({"vendor_uid": uid, **step})
            request = ModesRequest(changes=[change], version=answer.version)
            answer = await self.stage.backend.call(contract.MODES, request, ModesAnswer)

    async def set(self, name: str, value: str, *, announce: bool = True) -> None:
        """Have PHP keep a setting of the vendor, and say so to another process."""
        self.stage.embedded.set_setting(self.stage.vendor, name, value)
        if announce:
            await self.announce()

    async def announce(self) -> None:
        change = InvalidateRequest(vendor_uids=[self.stage.vendor.uid])
        await ConfigChanges(self.stage.redis, {}).announce(change)

    async def held(self) -> bool:
        return (await self.modes()).campaigns is Mode.HELD

    async def path(self) -> list[Mode]:
        """Return the modes that campaigns have been in, the first one first."""
        answer = await self.cutover().read(history=True)
        [vendor] = [v for v in answer.vendors if v.vendor_uid == self.stage.vendor.uid]
        modes = [vendor.history[0].before.campaigns] if vendor.history else []
        for past in vendor.history:
            modes += [past.after.campaigns] if past.after.campaigns is not modes[-1] else []
        return modes

    def ours(self) -> bool:
        _, config = self.vendors.peek(self.stage.vendor.uid)
        return config is not None and config.modes.campaigns is Mode.SIDECAR

    async def run(self) -> bool:
        async with self.stage.held() as lease:
            run = self.stage.make_run(lease)
            config = await self.vendors.get(self.stage.vendor.uid)
            assert config is not None
            with self.vendors.watch(config.vendor_uid, run.follow):
                run.follow(config)
                return await run.run()

    async def modes(self) -> Modes:
        answer = await self.cutover().read()
        return next(v.modes for v in answer.vendors if v.vendor_uid == self.stage.vendor.uid)


@asynccontextmanager
async def following(stage: Stage) -> AsyncIterator[Moving]:
    """Have a stage whose runs learn of changes as those of another process do."""
    moving = Moving(stage)
    await moving.changes.look()
    following = asyncio.create_task(moving.changes.run())
    await moving.vendors.get(stage.vendor.uid)
    try:
        yield moving
    finally:
        await cancel([following])
        await moving.vendors.close()
