"""Vendors' modes, as PHP keeps them: who handles what of a vendor."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from contracts import backend as contract
from contracts.lenient import LenientModel
from contracts.modes import Capability, Mode, Modes, ModesRequest, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.php.client import Backend, BackendFailed

#: Vendors whose histories are read at once: some thousand changes take a tenth of a second.
SLICE = 100


class _Unread(LenientModel):
    """:class:`contracts.modes.ModesAnswer`, whose vendors are not looked into."""

    vendors: list[dict[str, Any]]


async def read_vendors(backend: Backend) -> list[VendorModes]:
    """Return all vendors with their histories, for a process that has other things to do: it reads
    them some at a time. Raises ``BackendError``."""
    found: list[VendorModes] = []
    for position, vendor in enumerate(await _ask(backend)):
        found.append(_vendor(vendor))
        if position % SLICE == SLICE - 1:
            await asyncio.sleep(0)
    return found


async def read_vendor(backend: Backend, vendor_uid: str) -> VendorModes | None:
    """Return one vendor with its history. Raises ``BackendError``."""
    mine = [one for one in await _ask(backend) if one.get("vendor_uid") == vendor_uid]
    return _vendor(mine[0]) if mine else None


async def _ask(backend: Backend) -> list[dict[str, Any]]:
    return (await backend.call(contract.MODES, ModesRequest(history=True), _Unread)).vendors


def _vendor(value: dict[str, Any]) -> VendorModes:
    try:
        return VendorModes.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BackendFailed(
            f"{contract.MODES} answered something else than documented: {where}: {first['msg']}"
        ) from None


def counts(vendors: Sequence[VendorModes]) -> dict[Capability, Counter[Mode]]:
    """Return how many vendors are in which mode."""
    return {
        capability: Counter(getattr(vendor.modes, capability.value) for vendor in vendors)
        for capability in Capability
    }


def held(vendors: Sequence[VendorModes]) -> list[VendorModes]:
    """Return those for whom nobody sends campaigns."""
    return [vendor for vendor in vendors if vendor.modes.campaigns is Mode.HELD]


def differs(modes: Modes, asked: ModesChange) -> bool:
    """Tell whether modes are other than was asked for."""
    return any(
        getattr(asked, name.value) not in (None, getattr(modes, name.value)) for name in Capability
    )
