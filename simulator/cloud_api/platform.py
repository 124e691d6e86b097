"""What the parts of the simulated platform share."""

from dataclasses import dataclass
from random import Random

from simulator.cloud_api.clock import Clock
from simulator.cloud_api.config import CloudApiConfig
from simulator.cloud_api.customer import CustomerBook
from simulator.cloud_api.ledger import Ledger
from simulator.cloud_api.media import MediaLibrary
from simulator.cloud_api.outbox import Outbox
from simulator.cloud_api.service_window import ServiceWindows


@dataclass(frozen=True, slots=True)
class Platform:
    config: CloudApiConfig
    clock: Clock
    rng: Random
    ledger: Ledger
    outbox: Outbox
    media: MediaLibrary
    people: CustomerBook
    windows: ServiceWindows
