"""What a run is: a campaign, and what the Cloud API does in the middle of it."""

from dataclasses import dataclass
from typing import Any

from simulator.cloud_api.outage import OutageShape
from simulator.outages import network

SHAPES = (*(shape.value for shape in OutageShape), *network.SHAPES)

#: Share of the rows that are accepted before the outage.
BEFORE = 0.3

#: Problems of ``sidecar status`` that name an outage of this shape; one of them must.
_NAMED = ("cloud-api-down",)
_NAMED_SLOW = ("cloud-api-down", "cloud-api-slow")


@dataclass(frozen=True, slots=True)
class Plan:
    """``messages`` at ``rate`` per second, and an outage of ``seconds``. ``accepted``: what is hit
    is accepted all the same. ``only_sends``: reads are answered meanwhile."""

    shape: str
    seconds: float
    messages: int
    rate: float
    accepted: bool = False
    only_sends: bool = False

    @property
    def rows_before(self) -> int:
        return int(self.messages * BEFORE)

    @property
    def of_network(self) -> bool:
        """Whether it is not the Cloud API that fails."""
        return self.shape in network.SHAPES

    @property
    def named_by(self) -> tuple[str, ...]:
        return _NAMED_SLOW if self.shape == OutageShape.SLOW else _NAMED

    @property
    def stalled_s(self) -> float:
        """For how long nothing may move after the outage: a probe may come as late again as the
        outage was long."""
        return 2 * self.seconds + 60

    def order(self, phone_number_id: str) -> dict[str, Any]:
        """Return what ``POST /_simulator/outages`` is given."""
        order = {
            "shape": self.shape,
            "seconds": self.seconds,
            "phone_number_id": phone_number_id,
            "accepted": self.accepted,
        }
        return order | ({"of": ["messages", "marketing_messages"]} if self.only_sends else {})
