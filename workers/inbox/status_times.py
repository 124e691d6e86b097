"""Records when statuses were set, with the commit of the batch that they came in."""

from collections import defaultdict
from collections.abc import Iterable

from sidecar.inbox.status_times import KEEP_S, bucket_bytes, record_of
from sidecar.redis import keys
from workers.inbox.commit import Commit
from workers.inbox.update import Update


class StatusTimes:
    """``limit``: of how many statuses the times are kept; 0: of none."""

    def __init__(self, limit: int) -> None:
        self._bucket_bytes = bucket_bytes(limit) if limit else 0

    def record(self, updates: Iterable[Update], commit: Commit) -> None:
        """Record the statuses among updates that come from the inbox: as they came, before they are
        coalesced, and whatever PHP makes of them."""
        if not self._bucket_bytes:
            return
        # Of what came twice in a batch, one.
        buckets: defaultdict[int, dict[bytes, None]] = defaultdict(dict)
        for update in updates:
            if update.status_at is None or update.wamid is None:
                continue
            message = (update.vendor_uid, update.wamid)
            if found := record_of(message, update.status, update.status_at):
                buckets[found[0]][found[1]] = None
        for bucket, records in buckets.items():
            words = keys.status_times(bucket), b"".join(records), self._bucket_bytes, KEEP_S
            commit.add_command("STATUSTIMES", *words)
