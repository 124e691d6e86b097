"""What everybody who has to do with a campaign calls by the same name."""

from enum import StrEnum


class ErrorPath(StrEnum):
    """How an error of a campaign was told: by the answer to the send, or by a status. Errors in a
    row are counted for each by itself: what statuses tell is of earlier messages than what answers
    tell, and neither may end the other's row."""

    ANSWER = "answer"
    STATUS = "status"


def campaign_lease(campaign_uid: str) -> str:
    """Name of the lease that whoever sends the campaign holds."""
    return f"campaign:{campaign_uid}"
