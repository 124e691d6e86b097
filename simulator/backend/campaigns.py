"""Campaigns: their state and fence, which are kept in ``campaigns.__data.sidecar``."""

from dataclasses import dataclass

from contracts.backend import ErrorCode
from contracts.campaigns import CampaignState, allows_write
from contracts.modes import Mode
from simulator.backend.jsontext import OBJECT, dump, load, section
from simulator.backend.refusal import Refused
from simulator.backend.vendors import Vendor
from simulator.backend.work import Work

_MAX_FENCE = 2**63 - 1

_STOPPED = {
    CampaignState.PAUSED: ErrorCode.CAMPAIGN_PAUSED,
    CampaignState.CANCELLED: ErrorCode.CAMPAIGN_CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign as it stood when the call began."""

    id: int
    uid: str
    state: CampaignState
    reason: str | None
    fence: int
    template_name: str | None
    template_language: str | None


def read_state(sidecar: dict[str, object]) -> CampaignState:
    """Return the state in ``__data.sidecar``; a campaign without one runs."""
    try:
        return CampaignState(str(sidecar.get("state")))
    except ValueError:
        return CampaignState.RUNNING


def read_reason(sidecar: dict[str, object]) -> str | None:
    reason = sidecar.get("reason")
    return reason if isinstance(reason, str) else None


def find_campaign(work: Work, vendor: Vendor, uid: str) -> Campaign:
    """Return the vendor's campaign, or refuse the call."""
    row = work.db.row(
        "SELECT _id, _uid, template_name, template_language, __data FROM campaigns"
        " WHERE _uid = ? AND vendors__id = ?",
        (uid, vendor.id),
    )
    # The database does not tell letters' case apart.
    if row is None or row["_uid"] != uid:
        raise Refused(ErrorCode.CAMPAIGN_UNKNOWN, f"vendor {vendor.uid!r} has no campaign {uid!r}")
    sidecar = section(load(row["__data"]), "sidecar")
    fence = sidecar.get("fence")
    return Campaign(
        id=row["_id"],
        uid=row["_uid"],
        state=read_state(sidecar),
        reason=read_reason(sidecar),
        fence=fence if isinstance(fence, int) else 0,
        template_name=row["template_name"],
        template_language=row["template_language"],
    )


def check_running(campaign: Campaign) -> None:
    """Refuse the call if the campaign is paused or cancelled."""
    if campaign.state in _STOPPED:
        raise _stopped(campaign)


def check_not_cancelled(campaign: Campaign) -> None:
    if campaign.state is CampaignState.CANCELLED:
        raise _stopped(campaign)


def _stopped(campaign: Campaign) -> Refused:
    because = f": {campaign.reason}" if campaign.reason else ""
    message = f"campaign {campaign.uid!r} is {campaign.state}{because}"
    return Refused(_STOPPED[campaign.state], message)


def check_on_sidecar(vendor: Vendor) -> None:
    """Refuse the call if the vendor's rows are the crons', or nobody's for the moment."""
    mode = vendor.modes.campaigns
    if mode != Mode.SIDECAR:
        raise Refused(
            ErrorCode.VENDOR_NOT_ON_SIDECAR,
            f"the campaigns of vendor {vendor.uid!r} are not the sidecar's: their mode is {mode}",
        )


def check_fence(campaign: Campaign, fence: int) -> None:
    """Refuse the call if a higher fence has been seen."""
    if not 0 <= fence <= _MAX_FENCE:
        raise Refused(ErrorCode.REQUEST_INVALID, "fence: must be from 0 to 2^63 - 1")
    if fence < campaign.fence:
        raise Refused(
            ErrorCode.FENCE_STALE,
            f"campaign {campaign.uid!r} is owned under fence {campaign.fence}, not {fence}",
        )


def remember_fence(work: Work, campaign: Campaign, fence: int) -> None:
    """Keep the fence; it only grows."""
    if fence > campaign.fence:
        work.db.execute(
            f"UPDATE campaigns SET __data = json_set({OBJECT}, '$.sidecar.fence', ?) WHERE _id = ?",
            (fence, campaign.id),
        )


def set_state(
    work: Work, campaign: Campaign, state: CampaignState, reason: str | None, *, restart: bool
) -> None:
    """Keep the campaign's state, with its reason, or refuse the call."""
    if not allows_write(campaign.state, state, restart=restart):
        raise _stopped(campaign)
    work.db.execute(
        f"UPDATE campaigns SET updated_at = ?, __data = json_set({OBJECT},"
        " '$.sidecar.state', ?, '$.sidecar.reason', json(?)) WHERE _id = ?",
        (work.now, state.value, dump(reason), campaign.id),
    )
