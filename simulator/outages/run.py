"""One campaign with an outage in its middle."""

import time
from collections.abc import Callable
from contextlib import suppress

from contracts.backend import QueueStatus
from simulator import control
from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.outages.figures import Figures
from simulator.outages.plan import Plan
from simulator.outages.stage import Stage
from simulator.outages.watch import Watch, look

_POLL_S = 0.2
#: How long nothing may go out before the outage.
_BEGIN_S = 60.0
#: How long ``sidecar status`` is looked at after the campaign has ended.
_OVER_S = 20.0
_WAITING = (QueueStatus.QUEUED, QueueStatus.PROCESSING, QueueStatus.AWAITING_STATUS)


class RunStuck(Exception):
    """Nothing moves any more, and it is not the end."""


class OutageRun:
    """The steps of a run, in order; each waits until it is done. Several runs on one stage may take
    a step after the other together."""

    def __init__(self, stage: Stage, vendor: SeededVendor, plan: Plan) -> None:
        self._stage = stage
        self._vendor = vendor
        self._plan = plan
        [self._number] = vendor.phone_number_ids
        self._campaign: SeededCampaign | None = None
        self._began_at = 0.0
        self._started = 0.0

    @property
    def ends_at(self) -> float:
        """The end of the outage, in unix seconds."""
        return self._began_at + self._plan.seconds

    def start(self) -> None:
        """Start the campaign."""
        self._started = time.monotonic()
        self._campaign = self._stage.send(self._vendor.uid, self._plan.messages)

    def begin_outage(self) -> None:
        """Begin it when the rows before it have gone out."""
        wait_until(
            lambda: self._accepted() >= self._plan.rows_before, self._accepted, _BEGIN_S, "sending"
        )
        self._began_at = time.time()
        if self._plan.of_network:
            self._stage.network.fail()
        else:
            self._stage.begin_outage(self._plan.order(self._number))

    def end_outage(self) -> None:
        """Wait until it is over."""
        time.sleep(max(0.0, self.ends_at - time.time()))
        if self._plan.of_network:
            self._stage.network.mend()

    def finish(self) -> None:
        """Wait until no row waits and no status is under way, as long as anything moves."""
        with suppress(RunStuck):
            wait_until(self._has_ended, self._progress, self._plan.stalled_s, "the campaign")

    def wait_until_over(self, watch: Watch) -> None:
        """Wait until ``sidecar status`` does not name the outage any more; for a limited time."""
        names = self._plan.named_by
        with suppress(RunStuck):
            wait_until(
                lambda: watch.over_at(names, self._number, self.ends_at) is not None,
                lambda: None,
                _OVER_S,
                "status",
            )

    def figures(self, watch: Watch) -> Figures:
        assert self._campaign is not None
        cloud_api = self._stage.cloud_api
        tables = self._stage.installation.tables
        # Before the messages: a row that goes out meanwhile would be in neither.
        queued = set(tables.queued_uids(self._vendor.uid))
        mine = set(self._campaign.row_uids)
        sent = [one for one in control.lines(cloud_api, "messages") if one["callback_data"] in mine]
        times_s = [one["accepted_at"] / 1000 for one in sent]
        counts = tables.counts(self._vendor.uid)
        sends = look(self._stage.installation).sends(self._vendor.uid)
        left = sum(counts.queue.get(status, 0) for status in _WAITING)
        went_out = {one["callback_data"] for one in sent}
        names, began_at = self._plan.named_by, self._began_at
        return Figures(
            shape=self._plan.shape,
            rows=self._plan.messages,
            accepted=len(sent),
            unknown=sends["unknown"],
            failed=sends["failed"],
            requeued=sends["requeued"],
            twice=len(sent) - len(went_out) + len(counts.doubles),
            left=left,
            lost=len(mine - went_out - queued),
            hit=self._hit(),
            goes_on_s=_since(
                self.ends_at, min((t for t in times_s if t > self.ends_at), default=None)
            ),
            named_s=_since(began_at, watch.named_at(names, self._number, began_at)),
            metric_s=_since(began_at, watch.measured_at(began_at)),
            over_s=_since(self.ends_at, watch.over_at(names, self._number, self.ends_at)),
            seconds=time.monotonic() - self._started,
        )

    def _accepted(self) -> int:
        report = control.read(self._stage.cloud_api, "report")
        accepted: int = report["numbers"][self._number]["accepted"]
        return accepted

    def _has_ended(self) -> bool:
        queue = self._stage.installation.tables.counts(self._vendor.uid).queue
        if any(queue.get(status) for status in _WAITING):
            return False
        idle: bool = control.read(self._stage.cloud_api, "report")["idle"]
        return idle

    def _progress(self) -> object:
        tables = self._stage.installation.tables
        return self._accepted(), tables.counts(self._vendor.uid)

    def _hit(self) -> int:
        if self._plan.of_network:
            return 1
        return sum(
            sum(one["hits"].values())
            for one in control.read_list(self._stage.cloud_api, "outages")
            if one["phone_number_id"] == self._number
        )


def _since(start: float, at: float | None) -> float | None:
    return None if at is None else at - start


def wait_until(
    condition: Callable[[], bool], progress: Callable[[], object], stalled_s: float, what: str
) -> None:
    """Raise :class:`RunStuck` if ``progress`` stays the same for so long before it comes."""
    last, end = progress(), time.monotonic() + stalled_s
    while not condition():
        if (now := progress()) != last:
            last, end = now, time.monotonic() + stalled_s
        elif time.monotonic() > end:
            raise RunStuck(f"{what} did not go on for {stalled_s:.0f} s")
        time.sleep(_POLL_S)
