"""Pausing, resuming and cancelling campaigns, and what is said of it."""

from dataclasses import dataclass

from contracts.backend import ErrorCode
from contracts.campaigns import CampaignAction, CampaignState
from contracts.sidecar_api import CampaignAnswer
from sidecar.ops.audit import DONE, FAILED, Audit, Who
from sidecar.ops.trouble import TROUBLES, trouble_text
from sidecar.sending.campaign_control import CampaignControl, CampaignRefused, PhpNotTold

#: Most characters of a reason (:class:`contracts.sidecar_api.CampaignChange`).
MAX_REASON = 500

#: Where to record it, and who does it.
Auditor = tuple[Audit, Who]


@dataclass(frozen=True, slots=True)
class Acted:
    """``answer``: how the campaign stands, None if that is not known. ``trouble``: what went wrong,
    None if nothing did. ``done``: the campaign was brought to it, but for the trouble."""

    uid: str
    answer: CampaignAnswer | None = None
    trouble: str | None = None
    done: bool = False

    def __str__(self) -> str:
        """How the campaign stands, in words; empty if that is not known."""
        if self.answer is None:
            return ""
        counts = self.answer.counts
        why = f": {self.answer.reason}" if self.answer.reason else ""
        return (
            f"campaign {self.uid} is {self.answer.state}{why}; {counts.queued:,} queued, "
            f"{counts.processing:,} claimed, {counts.unknown:,} unknown"
        )


async def act(
    control: CampaignControl, uid: str, action: CampaignAction, reason: str | None, by: Auditor
) -> Acted:
    """Do it to a campaign, as far as Redis and PHP let it be done, and record it. Raises nothing of
    theirs."""
    audit, who = by
    async with audit.doing(who, f"campaign.{action}", uid) as doing:
        acted = await _act(control, uid, action, reason)
        doing.outcome = DONE if acted.done else FAILED
        told = {"reason": reason, "trouble": acted.trouble}
        doing.details |= {name: words for name, words in told.items() if words}
    return acted


async def _act(
    control: CampaignControl, uid: str, action: CampaignAction, reason: str | None
) -> Acted:
    try:
        answer = await control.act(uid, action, reason)
    except CampaignRefused as error:
        return Acted(uid, trouble=_refused(error))
    except PhpNotTold as error:
        trouble = (
            f"stopped; PHP does not know it yet, and a worker tells it when it answers: {error}"
        )
        return Acted(uid, trouble=trouble, done=True)
    except TROUBLES as error:
        return Acted(uid, trouble=trouble_text(error))
    if action is CampaignAction.RESUME and answer.state is not CampaignState.RUNNING:
        return Acted(uid, answer, "somebody has stopped it meanwhile")
    return Acted(uid, answer, _warning(action, answer), done=True)


def _refused(error: CampaignRefused) -> str:
    if error.code == ErrorCode.CAMPAIGN_CANCELLED:
        return "it was cancelled, and stays so; PHP's admin can start it again"
    return str(error)


def _warning(action: CampaignAction, answer: CampaignAnswer) -> str | None:
    if answer.warning and action is not CampaignAction.RESUME:
        return (
            "PHP gives out no more messages, but Redis could not be told: what workers have in "
            f"hand may still go out. Do it again when Redis is back ({answer.warning})"
        )
    return answer.warning
