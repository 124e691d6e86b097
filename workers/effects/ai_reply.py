"""Asks AIs, and delivers their answers to PHP."""

import asyncio

import structlog

from contracts.backend import VendorConfig
from contracts.effects import AiAnswer, AiOutcome, AiProvider, AiReply, EffectKind
from sidecar.clock import now_ms
from sidecar.php.failures import Failures
from sidecar.tasks import cancel
from workers.effects.ai_client import AiClient, NoAnswer, Said
from workers.effects.calls import count
from workers.effects.conversations import Conversations
from workers.effects.handler import Again, End, GivenUp, Queued
from workers.effects.reports import Reports

log = structlog.get_logger()

#: How long it is told that a vendor's questions fail: nobody may have asked since, or another
#: process may have, and was answered.
FAILING_S = 30.0


class AiReplies:
    """Asks AIs: :class:`workers.effects.handler.Handler` of ``ai_reply``.

    Every question ends with a report to PHP: the answer, that there is none after
    ``max_attempts``, or that the question is outdated. ``client`` and ``answers`` are its own.
    ``failures`` says why an AI fails on all questions, by vendor.
    """

    kind = EffectKind.AI_REPLY
    batch = 1

    def __init__(
        self, client: AiClient, answers: Reports[AiAnswer], *, max_attempts: int, at_once: int
    ) -> None:
        self.at_once = at_once
        self._client = client
        self._answers = answers
        self._max_attempts = max_attempts
        self._conversations = Conversations()
        self.failures = Failures(fresh_s=FAILING_S)

    def arrived(self, queued: Queued) -> None:
        """Cancel an older question of the same conversation."""
        if isinstance(queued.effect, AiReply):
            name = queued.effect.conversation
            self._conversations.arrived(queued.vendor_uid, name, queued.id, queued.put_at)

    async def close(self) -> None:
        await self._answers.close()
        await self._client.close()

    async def do(self, config: VendorConfig, batch: list[Queued]) -> list[End]:
        return list(await asyncio.gather(*(self._reply(config, queued) for queued in batch)))

    async def _reply(self, config: VendorConfig, queued: Queued) -> End:
        effect = queued.effect
        if not isinstance(effect, AiReply):
            return GivenUp(f"{effect.kind} is no question to an AI")
        # A report is never changed: PHP may have acted on it, although its answer was lost.
        answer = self._answers.kept(queued.vendor_uid, queued.id)
        if answer is None:
            found = await self._ask(config, queued, effect)
            if isinstance(found, Again):
                return found
            answer = found
        end = await self._answers.bring(answer)
        if not isinstance(end, Again):
            self._conversations.ended(queued.vendor_uid, effect.conversation, queued.id)
        return end

    async def _ask(
        self, config: VendorConfig, queued: Queued, question: AiReply
    ) -> AiAnswer | Again:
        superseded = self._conversations.superseded(
            queued.vendor_uid, question.conversation, queued.id
        )
        if superseded.is_set() or _expired(question):
            return _answer(queued, AiOutcome.SUPERSEDED)
        provider = next((p for p in config.ai_providers if p.name == question.provider), None)
        if provider is None:
            count(self.kind, "no_target")
            found: Said | NoAnswer | None = NoAnswer(f"there is no AI named {question.provider!r}")
        else:
            found = await self._unless_superseded(provider, question, superseded)
        if found is None:
            return _answer(queued, AiOutcome.SUPERSEDED)
        if isinstance(found, Said):
            self.failures.worked(queued.vendor_uid)
            return _answer(queued, AiOutcome.ANSWERED, text=found.text, usage=found.usage)
        self.failures.failed(queued.vendor_uid, found.reason)
        # A refusal is final the second time: PHP was asked after the first.
        again = found.again or (found.refused and queued.attempts == 0)
        if again and queued.attempts + 1 < self._max_attempts:
            return Again(found.reason, after_s=found.after_s, refused=found.refused)
        log.warning(
            "ai.no_answer",
            vendor=queued.vendor_uid,
            effect=queued.id,
            reason=found.reason,
            attempts=queued.attempts + 1,
        )
        return _answer(queued, AiOutcome.FAILED, error=found.reason)

    async def _unless_superseded(
        self, provider: AiProvider, question: AiReply, superseded: asyncio.Event
    ) -> Said | NoAnswer | None:
        """Return the AI's answer, or None if the question is outdated before it comes."""
        left_s = None
        if question.expires_at is not None:
            left_s = max(0.0, (question.expires_at - now_ms()) / 1000)
        asking = asyncio.create_task(self._client.ask(provider, question), name="ai")
        newer = asyncio.create_task(superseded.wait(), name="newer question")
        try:
            await asyncio.wait({asking, newer}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if asking.done() and not superseded.is_set():
                return asking.result()
            if not asking.done():
                count(self.kind, "superseded")
            return None
        finally:
            await cancel([asking, newer])


def _expired(question: AiReply) -> bool:
    return question.expires_at is not None and question.expires_at <= now_ms()


def _answer(
    queued: Queued,
    outcome: AiOutcome,
    *,
    text: str | None = None,
    error: str | None = None,
    usage: dict[str, object] | None = None,
) -> AiAnswer:
    return AiAnswer(
        id=queued.id,
        vendor_uid=queued.vendor_uid,
        outcome=outcome,
        text=text,
        error=error,
        usage=usage,
        at=now_ms(),
    )
