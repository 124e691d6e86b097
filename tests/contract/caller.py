"""Signed calls to a backend under test."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from contracts import backend as contract
from contracts.signing import Audience, Signer
from tests.contract.under_test import BackendUnderTest, Campaign, Vendor
from tests.contracts.conformance import assert_conforms, load


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content

    @property
    def json(self) -> Any:
        return orjson.loads(self.content)

    @property
    def code(self) -> str:
        """The reason code of a refusal."""
        return contract.ErrorAnswer.model_validate_json(self.content).error.code


class Caller:
    """Calls the internal endpoints the way the sidecar does."""

    def __init__(self, backend: BackendUnderTest, session: aiohttp.ClientSession) -> None:
        self.backend = backend
        self.session = session
        key_id, secret = next(iter(backend.keys.items()))
        self.signer = Signer(Audience.BACKEND, key_id, secret)

    async def raw(
        self, path: str, body: bytes, headers: Mapping[str, str], method: str = "POST"
    ) -> Answer:
        """Send exactly these headers and bytes."""
        async with self.session.request(
            method, self.backend.base_url + path, data=io.BytesIO(body), headers=headers
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def signed(
        self, path: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send these bytes, signed. The answer must be one that the OpenAPI document allows."""
        signature = self.signer.headers("POST", path, body)
        answer = await self.raw(path, body, {**signature, **(headers or {})})
        assert_conforms(load("backend"), "POST", path, answer.status, answer.json)
        return answer

    async def call(self, path: str, request: Mapping[str, Any]) -> Any:
        """Send a request that must be answered with 200, and return the answer."""
        answer = await self.signed(path, orjson.dumps(request))
        assert answer.status == 200, answer.content
        return answer.json

    async def refusal(self, path: str, request: Mapping[str, Any]) -> tuple[int, str]:
        """Send a request that must be refused, and return status and reason code."""
        answer = await self.signed(path, orjson.dumps(request))
        return answer.status, answer.code

    async def claim(
        self, campaign: Campaign, limit: int = 100, **fields: Any
    ) -> contract.ClaimMessagesAnswer:
        answer = await self.call(contract.CLAIM_MESSAGES, claim_request(campaign, limit, **fields))
        return contract.ClaimMessagesAnswer.model_validate(answer)

    async def release(self, campaign: Campaign, row_uids: Sequence[str] = (), **fields: Any) -> int:
        request = {
            "vendor_uid": campaign.vendor.uid,
            "campaign_uid": campaign.uid,
            "row_uids": list(row_uids),
            **fields,
        }
        answer = await self.call(contract.RELEASE_MESSAGES, request)
        return contract.ReleaseMessagesAnswer.model_validate(answer).released

    async def retry(self, campaign: Campaign, **fields: Any) -> contract.RetryMessagesAnswer:
        """Put failed rows back into the queue."""
        request = {"vendor_uid": campaign.vendor.uid, "campaign_uid": campaign.uid, **fields}
        answer = await self.call(contract.RETRY_MESSAGES, request)
        return contract.RetryMessagesAnswer.model_validate(answer)

    async def report(self, *results: Mapping[str, Any]) -> list[contract.UpdateResult]:
        """Report what became of sends."""
        answer = await self.call(contract.UPDATE_MESSAGE_STATUSES, {"results": list(results)})
        return contract.UpdateMessageStatusesAnswer.model_validate(answer).results

    async def process(self, *updates: Mapping[str, Any]) -> list[contract.UpdateResult]:
        """Hand over updates; every one must be answered for."""
        answer = await self.call(contract.PROCESS_WEBHOOKS, {"updates": list(updates)})
        results = contract.ProcessWebhooksAnswer.model_validate(answer).results
        assert [result.id for result in results] == [update["id"] for update in updates]
        return results

    async def process_raw(self, vendor: Vendor, body: bytes) -> contract.ProcessWebhookAnswer:
        path = contract.PROCESS_WEBHOOK.format(vendor_uid=vendor.uid)
        answer = await self.signed(path, body)
        assert answer.status == 200, answer.content
        return contract.ProcessWebhookAnswer.model_validate_json(answer.content)

    async def due(self, *campaigns: Campaign, **fields: Any) -> contract.DueCampaignsAnswer:
        """Look at these campaigns; without any, at those that have due rows."""
        uids = [campaign.uid for campaign in campaigns] if campaigns else None
        answer = await self.call(contract.DUE_CAMPAIGNS, {"campaign_uids": uids, **fields})
        return contract.DueCampaignsAnswer.model_validate(answer)


def claim_request(campaign: Campaign, limit: int = 100, **fields: Any) -> dict[str, Any]:
    return {
        "vendor_uid": campaign.vendor.uid,
        "campaign_uid": campaign.uid,
        "claim_uid": "claim",
        "fence": 1,
        "limit": limit,
        **fields,
    }
