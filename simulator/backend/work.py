"""What one call works with."""

from dataclasses import dataclass, field

from simulator.backend.config import BackendConfig
from simulator.backend.database import Database, Row
from simulator.backend.faults import Faults
from simulator.backend.report import Report
from simulator.backend.times import to_text
from simulator.backend.vendors import Vendors


@dataclass(slots=True)
class Work:
    """One call, inside its transaction. ``now_ms`` stands still for all of it."""

    db: Database
    config: BackendConfig
    report: Report
    faults: Faults
    now_ms: int
    now: str = field(init=False)
    vendors: Vendors = field(init=False)
    #: Bots by vendor, as they were first read in this call.
    bots: dict[int, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = to_text(self.now_ms)
        self.vendors = Vendors(self.db, self.now)
