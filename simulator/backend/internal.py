"""The signed endpoints under ``/internal``."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts import backend as contract
from contracts.bots import BotsRequest
from contracts.diagnosis import DiagnosisRequest
from contracts.effects import AiAnswersRequest, MediaRequest
from contracts.find import FindRequest
from contracts.modes import ModesRequest
from contracts.observation import ObserveRequest
from contracts.preview import PreviewMessagesRequest
from contracts.signing import SignatureRefused
from simulator.backend.ai_answers import ai_answers
from simulator.backend.body import (
    JSON,
    error_answer,
    read_body,
    refused_answer,
    request_target,
)
from simulator.backend.bots import bots
from simulator.backend.claims import claim_messages, release_messages
from simulator.backend.connection import drop_connection, wait_for_disconnect
from simulator.backend.diagnosis import diagnosis
from simulator.backend.due_campaigns import due_campaigns
from simulator.backend.engine import Engine
from simulator.backend.epoch import keep_epoch
from simulator.backend.failed_rows import retry_messages
from simulator.backend.faults import Fault, FaultKind
from simulator.backend.find import find
from simulator.backend.jsontext import has_long_numbers, read
from simulator.backend.media import record_media
from simulator.backend.modes import modes
from simulator.backend.observe import observe
from simulator.backend.pending_effects import pending_effects
from simulator.backend.pending_webhooks import pending_webhooks
from simulator.backend.preview import preview_messages
from simulator.backend.refusal import Refused
from simulator.backend.send_results import update_message_status, update_message_statuses
from simulator.backend.unknown_messages import resolve_messages, unknown_messages
from simulator.backend.vendor_config import vendor_config
from simulator.backend.webhook_table import store_webhooks
from simulator.backend.webhooks import process_webhook, process_webhooks
from simulator.backend.work import Work

logger = structlog.get_logger(__name__)

#: What an endpoint does with a body that was signed.
Operation = Callable[[Work, bytes, Mapping[str, str]], dict[str, Any]]
Model = TypeVar("Model", bound=BaseModel)


def _json(model: type[Model], function: Callable[[Work, Model], dict[str, Any]]) -> Operation:
    def operation(work: Work, body: bytes, _path: Mapping[str, str]) -> dict[str, Any]:
        try:
            request = model.model_validate_json(body)
        except ValidationError as error:
            raise _invalid(error) from None
        return function(work, request)

    return operation


def _updates(work: Work, body: bytes, _path: Mapping[str, str]) -> dict[str, Any]:
    """Take updates over, the numbers of their payloads digit for digit."""
    operation = _json(contract.ProcessWebhooksRequest, partial(_exact_updates, body))
    return operation(work, body, _path)


def _exact_updates(
    body: bytes, work: Work, request: contract.ProcessWebhooksRequest
) -> dict[str, Any]:
    if has_long_numbers(body):
        for update, exact in zip(request.updates, read(body)["updates"], strict=True):
            update.payload.update(exact["payload"])
    return process_webhooks(work, request)


def _invalid(error: ValidationError) -> Refused:
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    first = faults[0]
    where = ".".join(map(str, first["loc"])) or "body"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Refused(contract.ErrorCode.REQUEST_INVALID, f"{where}: {first['msg']}{more}")


def _raw_webhook(work: Work, body: bytes, path: Mapping[str, str]) -> dict[str, Any]:
    return process_webhook(work, path["vendor_uid"], body)


OPERATIONS: Mapping[str, Operation] = {
    contract.PROCESS_WEBHOOK: _raw_webhook,
    contract.PROCESS_WEBHOOKS: _updates,
    contract.STORE_WEBHOOKS: _json(contract.StoreWebhooksRequest, store_webhooks),
    contract.PENDING_WEBHOOKS: _json(contract.PendingWebhooksRequest, pending_webhooks),
    contract.CLAIM_MESSAGES: _json(contract.ClaimMessagesRequest, claim_messages),
    contract.RELEASE_MESSAGES: _json(contract.ReleaseMessagesRequest, release_messages),
    contract.UPDATE_MESSAGE_STATUS: _json(contract.SendResult, update_message_status),
    contract.UPDATE_MESSAGE_STATUSES: _json(
        contract.UpdateMessageStatusesRequest, update_message_statuses
    ),
    contract.DUE_CAMPAIGNS: _json(contract.DueCampaignsRequest, due_campaigns),
    contract.UNKNOWN_MESSAGES: _json(contract.UnknownMessagesRequest, unknown_messages),
    contract.RESOLVE_MESSAGES: _json(contract.ResolveMessagesRequest, resolve_messages),
    contract.RETRY_MESSAGES: _json(contract.RetryMessagesRequest, retry_messages),
    contract.EPOCH: _json(contract.EpochRequest, keep_epoch),
    contract.VENDOR_CONFIG: _json(contract.VendorConfigRequest, vendor_config),
    contract.BOTS: _json(BotsRequest, bots),
    contract.DIAGNOSIS: _json(DiagnosisRequest, diagnosis),
    contract.AI_ANSWERS: _json(AiAnswersRequest, ai_answers),
    contract.PENDING_EFFECTS: _json(contract.PendingEffectsRequest, pending_effects),
    contract.MEDIA: _json(MediaRequest, record_media),
    contract.MODES: _json(ModesRequest, modes),
    contract.OBSERVE: _json(ObserveRequest, observe),
    contract.FIND: _json(FindRequest, find),
    contract.PREVIEW_MESSAGES: _json(PreviewMessagesRequest, preview_messages),
}


def internal_routes(engine: Engine) -> list[Route]:
    return [
        Route(path, _Endpoint(engine, path, operation).respond, methods=["POST"])
        for path, operation in OPERATIONS.items()
    ]


class _Endpoint:
    def __init__(self, engine: Engine, path: str, operation: Operation) -> None:
        self._engine = engine
        self._name = path.removeprefix("/internal/").partition("/")[0]
        self._operation = operation
        self._may_carry = path in contract.CARRY_EPOCH

    async def respond(self, request: Request) -> Response:
        report = self._engine.report
        try:
            body = await read_body(request, self._engine.config.max_body_bytes)
            response = await self._with_faults(request, body)
        except Refused as refused:
            report.refusals[self._name][refused.code.value] += 1
            response = refused_answer(refused)
        except Exception:
            logger.exception("call_failed", endpoint=self._name)
            response = error_answer(500, "internal_error", "the call failed; see the log")
        report.requests[self._name][str(response.status_code)] += 1
        return response

    async def _with_faults(self, request: Request, body: bytes) -> Response:
        fault = self._engine.faults.for_call(self._name, body)
        if fault is None:
            return await self._answer(request, body)
        self._engine.report.faults[self._name][fault.kind.value] += 1
        return await _INJECTED[fault.kind](fault, request, lambda: self._answer(request, body))

    async def _answer(self, request: Request, body: bytes) -> Response:
        try:
            call = self._engine.verifier.verify(
                request.method, request_target(request), request.headers, body
            )
        except SignatureRefused as refusal:
            raise Refused(refusal.code, str(refusal)) from None
        carried = _carried(request) if self._may_carry else None

        def operation(work: Work) -> dict[str, Any]:
            if carried is not None:
                keep_epoch(work, carried)
            return self._operation(work, body, request.path_params)

        return JSON(await self._engine.signed(call, operation))


def _carried(request: Request) -> contract.EpochRequest | None:
    """Return the epoch that a call carries in its query."""
    if "epoch" not in request.query_params:
        return None
    try:
        told = {name: request.query_params.get(name) for name in ("epoch", "at")}
        return contract.EpochRequest.model_validate(told)
    except ValidationError as error:
        raise _invalid(error) from None


Answer = Callable[[], Awaitable[Response]]


async def _http_500(_fault: Fault, _request: Request, _answer: Answer) -> Response:
    return JSON({"message": "Server Error"}, 500)


async def _html_500(_fault: Fault, _request: Request, _answer: Answer) -> Response:
    page = "<!DOCTYPE html><html><head><title>Server Error</title></head><body>500</body></html>"
    return Response(page, 500, media_type="text/html")


async def _nonsense(_fault: Fault, _request: Request, _answer: Answer) -> Response:
    return Response("]{ this is no JSON", media_type="application/json")


async def _empty(_fault: Fault, _request: Request, _answer: Answer) -> Response:
    return Response(b"")


async def _close(_fault: Fault, request: Request, _answer: Answer) -> Response:
    return await drop_connection(request)


async def _hang(fault: Fault, request: Request, _answer: Answer) -> Response:
    await wait_for_disconnect(request, 3600.0 if fault.seconds is None else fault.seconds)
    return await drop_connection(request)


async def _slow(fault: Fault, _request: Request, answer: Answer) -> Response:
    await asyncio.sleep(1.0 if fault.seconds is None else fault.seconds)
    return await answer()


async def _after_commit_close(_fault: Fault, request: Request, answer: Answer) -> Response:
    await answer()
    return await drop_connection(request)


_INJECTED: Mapping[FaultKind, Callable[[Fault, Request, Answer], Awaitable[Response]]] = {
    FaultKind.HTTP_500: _http_500,
    FaultKind.HTML_500: _html_500,
    FaultKind.NONSENSE: _nonsense,
    FaultKind.EMPTY: _empty,
    FaultKind.CLOSE: _close,
    FaultKind.HANG: _hang,
    FaultKind.SLOW: _slow,
    FaultKind.AFTER_COMMIT_CLOSE: _after_commit_close,
}
