"""What everybody who has to do with a campaign calls by the same name."""

from sidecar.redis import keys
from sidecar.sending.campaigns import ErrorPath, campaign_lease


def test_each_campaign_has_a_lease_of_its_own() -> None:
    names = {keys.lease(campaign_lease(uid)) for uid in ("c-1", "c-2", "c-1:c-2")}
    assert len(names) == 3


def test_errors_in_a_row_are_counted_by_path() -> None:
    names = {keys.errors("c-1", path) for path in ErrorPath}
    assert len(names) == len(ErrorPath) == 2
