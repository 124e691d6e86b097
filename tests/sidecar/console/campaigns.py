"""A campaign as PHP tells of it, for tests of pages."""

from typing import Any

from contracts.backend import RETRY_MESSAGES
from tests.sidecar.answering_php import Answer, Call, Php, json_answer
from tests.sidecar.service import VENDOR

UID = "c-1"
COUNTS = {"queued": 1000, "processing": 20, "error": 30, "expired": 4, "unknown": 5}
COUNTS |= {"accepted": 600, "sent": 700, "delivered": 800, "read": 900, "failed": 10}


def add_campaign(php: Php, uid: str = UID, **more: Any) -> str:
    """Have PHP know a campaign of all kinds of messages."""
    known = {"title": "Spring", "due": 900, "counts": COUNTS, "errors": []}
    return php.add_campaign(uid, VENDOR, **(known | more))


class Failed:
    """Answers ``retry-messages``, with so many pages of two rows each, of which one stays."""

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.done = 0
        self.codes: list[str] | None = None

    def __call__(self, call: Call) -> Answer | None:
        if call.target != RETRY_MESSAGES:
            return None
        self.codes = call.json["codes"]
        self.done += not call.json["dry_run"]
        page = int(call.json["after"] or 0) + 1
        rows = [{"error_status": "132015", "count": 1}]
        left = [{"error_status": "131000", "count": 1, "reason": "maybe_sent"}]
        if self.pages == 0:
            return json_answer({"retried": 0, "rows": [], "left": left, "next": None})
        following = str(page) if page < self.pages else None
        return json_answer({"retried": 1, "rows": rows, "left": left, "next": following})
