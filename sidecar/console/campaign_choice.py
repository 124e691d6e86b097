"""Which campaigns of the list somebody wants to see."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request

from contracts.campaigns import CampaignState
from sidecar.console.paged import page_number
from sidecar.ops.campaigns import Campaign

STATES = [state.value for state in CampaignState]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which campaigns of the list: ``find`` stands in a title or a uid, of it or its vendor.
    Cancelled ones are not shown unless they are asked for."""

    find: str
    state: str
    page: int

    @classmethod
    def of(cls, request: Request) -> "Choice":
        asked = request.query_params
        state = asked.get("state", "")
        return cls(
            asked.get("find", "").strip()[:200],
            state if state in STATES else "",
            page_number(asked.get("page", "")),
        )

    def fits(self, one: Campaign, titles: Mapping[str, str]) -> bool:
        title = one.php.title if one.php else None
        texts = (one.uid, title, one.vendor_uid, titles.get(one.vendor_uid or ""))
        stands = one.state == self.state if self.state else one.state != CampaignState.CANCELLED
        return stands and any(self.find.lower() in (text or "").lower() for text in texts)

    def query(self, page: int) -> str:
        asked = {"find": self.find, "state": self.state, "page": str(page) if page > 1 else ""}
        return urlencode({name: value for name, value in asked.items() if value})
