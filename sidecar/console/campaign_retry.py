"""Sending failed messages of a campaign again: counted first, then done, some thousand at a
time."""

from collections.abc import Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from contracts.backend import DueCampaign
from contracts.campaigns import CampaignState
from sidecar.console.console import Console
from sidecar.console.page import back, confirm, confirmed, failed, form, who
from sidecar.console.sessions import User
from sidecar.format import messages
from sidecar.ops.audit import FAILED
from sidecar.ops.campaigns import read_one
from sidecar.ops.failures import Failures, left_out
from sidecar.ops.retrying import RetryRefused, add_pages, left_elsewhere, retry_failed
from sidecar.ops.trouble import TROUBLES, trouble_text

#: Most errors that one retry may name (:class:`contracts.backend.RetryMessagesRequest`).
MAX_CODES = 100


def campaign_path(uid: str) -> str:
    return f"/campaigns/{quote(uid, safe='')}"


class RetryFailed:
    """``forget``: told of a campaign that has changed."""

    def __init__(self, console: Console, forget: Callable[[str], None]) -> None:
        self._console = console
        self._forget = forget

    async def post(self, request: Request, user: User) -> Response:
        """Ask, or do it if it is still as many as were asked about."""
        uid = request.path_params["uid"]
        sent = await form(request)
        codes = [code for code in sent.all("code") if code]
        if len(codes) > MAX_CODES:
            return failed(request, 400, f"At most {MAX_CODES} errors can be named.")
        try:
            found = (await read_one(None, self._console.backend, uid)).php
            if found is None:
                return failed(request, 404, f"PHP knows no campaign {uid}.")
            counted = Failures()
            pages = retry_failed(self._console.backend, found, codes, dry_run=True)
            await add_pages(counted, pages)
            if not counted.retried:
                return _nothing(request, uid, counted)
            if await confirmed(request) and sent.get("count") == str(counted.retried):
                return await self._retry(request, user, found, codes)
            return _ask(request, user, found, codes, counted)
        except (RetryRefused, *TROUBLES) as error:
            why = str(error) if isinstance(error, RetryRefused) else trouble_text(error)
            return back(request, campaign_path(uid), why, failed=True)

    async def _retry(
        self, request: Request, user: User, campaign: DueCampaign, codes: list[str]
    ) -> Response:
        done, trouble, uid = Failures(), None, campaign.campaign_uid
        doing = self._console.audit.doing(who(user), "campaign.retry_failed", uid)
        async with doing as record:
            pages = retry_failed(self._console.backend, campaign, codes, dry_run=False)
            try:
                await add_pages(done, pages)
            except TROUBLES as error:
                trouble, record.outcome = trouble_text(error), FAILED
            record.details |= {"messages": done.retried, **({"codes": codes} if codes else {})}
            record.details |= {"trouble": trouble} if trouble else {}
        self._forget(uid)
        words = [f"{messages(done.retried)} of the campaign in the queue again"]
        if campaign.state is CampaignState.PAUSED:
            words.append("it is paused, and sends them once it is resumed")
        if trouble:
            words.append(f"then it failed, and may be done again to go on: {trouble}")
        elif not done.complete:
            words.append("this is not all: do it again to go on")
        return back(request, campaign_path(uid), "; ".join(words), failed=trouble is not None)


def _nothing(request: Request, uid: str, counted: Failures) -> Response:
    why = "no failed message of it can be sent again"
    left = [f"{count:,} because {words}" for words, count in left_out(counted.all)]
    return back(request, campaign_path(uid), "; ".join([why, *left]), failed=True)


def _ask(
    request: Request, user: User, campaign: DueCampaign, codes: list[str], counted: Failures
) -> Response:
    path = campaign_path(campaign.campaign_uid)
    return confirm(
        request,
        user,
        question=f"Send {_messages(counted)} again?",
        details=_details(campaign, counted),
        action=f"{path}/retry-failed",
        fields={"code": codes, "count": str(counted.retried)},
        yes=f"Send {_messages(counted)} again",
        cancel=path,
    )


def _messages(counted: Failures) -> str:
    return messages(counted.retried) if counted.complete else f"the first {counted.retried:,}"


def _details(campaign: DueCampaign, counted: Failures) -> list[str]:
    words = [
        f"{one.count:,} × {one.status or ''} {one.told.meaning}" for one in counted.all if one.again
    ]
    left = [*left_out(counted.all), *left_elsewhere(campaign.counts)]
    words += [f"{count:,} are left out: {why}" for why, count in left]
    if not counted.complete:
        words.append("These are the first of many: do it again to go on.")
    if campaign.state is CampaignState.PAUSED:
        words.append("The campaign is paused, and sends them once it is resumed.")
    return words
