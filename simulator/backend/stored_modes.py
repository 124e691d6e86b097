"""How a vendor's modes are kept: in a row of ``vendor_settings``, as JSON.

The past stands in a row of its own, so that nobody has to read it to know the present. Where a
vendor has no row, the sidecar does everything but find bots.
"""

from typing import Any

from contracts.modes import Capability, Mode, Modes
from simulator.backend.jsontext import load

#: Names in ``vendor_settings``: JSON of the modes with the version of their last change, and a list
#: of :class:`contracts.modes.PastChange`.
MODES = "sidecar_modes"
MODES_HISTORY = "sidecar_modes_history"

DEFAULT = Modes(webhooks=Mode.SIDECAR, campaigns=Mode.SIDECAR, bots=Mode.PHP)


def read_modes(text: str | None) -> tuple[Modes, int]:
    """Return the modes in a setting, and their version: 0 where there is none."""
    kept = load(text)
    version = kept.get("version")
    modes = {capability.value: _mode(kept, capability) for capability in Capability}
    return Modes.model_validate(modes), version if isinstance(version, int) else 0


def _mode(kept: dict[str, Any], capability: Capability) -> Mode:
    """Return what is kept; where that is no mode at all, nothing is the sidecar's."""
    try:
        return Mode(kept.get(capability, getattr(DEFAULT, capability)))
    except ValueError:
        return Mode.PHP


def mode_of(capability: Capability) -> str:
    """Return SQL: the mode of the vendor of ``vendors._id``."""
    return f"""coalesce((SELECT json_extract(setting.value, '$.{capability}')
        FROM vendor_settings AS setting
        WHERE setting.vendors__id = vendors._id AND setting.name = '{MODES}'),
        '{getattr(DEFAULT, capability)}')"""


def on_sidecar(capability: Capability) -> str:
    """Return SQL: the vendor of ``vendors._id`` has this done by the sidecar."""
    return f"{mode_of(capability)} = '{Mode.SIDECAR}'"
