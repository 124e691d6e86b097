"""Whatever the Cloud API or an AI answers: an outcome that can be told, and never an exception."""

import json
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.backend import SendResult, UpdateMessageStatusesRequest
from contracts.effects import AiAnswer, AiAnswersRequest, AiOutcome, AiProvider
from contracts.portable import flaw
from sidecar.effects.outbound import Reply
from tests.contracts.hypotheses import unhurried
from tests.contracts.odd_json import ODD
from tests.workers import php as php_side
from tests.workers.conftest import MakeApi, MakeStage
from tests.workers.php import Answer, Call
from tests.workers.rows import claimed_row, result
from workers.effects import ai_client as ai_provider
from workers.effects.ai_client import Said
from workers.sending.campaign import CampaignRun
from workers.sending.cloud_api import (
    Accepted,
    Attempt,
    CloudApi,
    ErrorAnswer,
    OutcomeUnknown,
    conclude,
)
from workers.sending.error_policy import decide
from workers.sending.ledger import _known
from workers.sending.line_health import Tuning

pytestmark = pytest.mark.usefixtures("short_pauses")

ODD_TEXTS = [text for text, _ in ODD.values()] + [
    "[" * 900 + "]" * 900,
    '{"a":' * 500 + "1" + "}" * 500,
    "9" * 5000,
    '"' + "x" * 100_000 + '"',
    '"\\u0000"',
]

KEYS = st.sampled_from(
    [
        *("messages", "contacts", "id", "wa_id", "message_status", "error", "code", "message"),
        *("error_data", "details", "choices", "content", "text", "usage", "type", "\0"),
    ]
) | st.text(max_size=3)
LEAVES = st.one_of(
    st.sampled_from(ODD_TEXTS),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=9),
    ).map(
        lambda value: orjson.dumps(value if not isinstance(value, int) else value % 2**60).decode()
    ),
)


def object_of(fields: dict[str, str]) -> str:
    return "{" + ",".join(f"{orjson.dumps(k).decode()}:{v}" for k, v in fields.items()) + "}"


JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: "[" + ",".join(parts) + "]"),
        st.dictionaries(KEYS, inner, max_size=4).map(object_of),
    ),
    max_leaves=10,
)
SHAPED = st.one_of(
    JSON.map(lambda odd: f'{{"messages":[{{"id":"wamid.1"}}],"more":{odd}}}'),
    JSON.map(lambda odd: f'{{"messages":[{{"id":{odd}}}]}}'),
    JSON.map(lambda odd: f'{{"messages":[{{"id":"w","message_status":{odd}}}],"contacts":{odd}}}'),
    st.tuples(JSON, JSON, JSON).map(
        lambda o: (
            f'{{"error":{{"code":{o[0]},"message":{o[1]},"error_data":{{"details":{o[2]}}}}}}}'
        )
    ),
    JSON.map(lambda odd: f'{{"choices":[{{"message":{{"content":"hi"}}}}],"usage":{odd}}}'),
    JSON.map(lambda odd: f'{{"choices":[{{"message":{{"content":{odd}}}}}],"usage":{{}}}}'),
)
CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.one_of(JSON, SHAPED).map(str.encode),
    SHAPED.map(lambda text: text.encode().replace(b"wamid", b"wa\xff\xed\xa0\x80")),
    st.sampled_from([b"[" * 200_000, b'{"messages":[' * 50_000, b'"' * 99, b"\xff\xfe"]),
)


def told(attempt: Attempt) -> SendResult | None:
    """Return the result of an attempt, as PHP and the ledger get it."""
    decision = decide(claimed_row("row-1"), attempt)
    if decision.outcome is None:
        return None
    more: dict[str, Any] = {"error": decision.error, "wamid": None}
    if isinstance(attempt, Accepted):
        more = {
            "wamid": attempt.wamid,
            "message_status": attempt.message_status,
            "wa_id": attempt.wa_id,
            "response": attempt.response,
        }
    return result("row-1", decision.outcome, **more)


def assert_can_be_told(attempt: Attempt) -> None:
    found = told(attempt)
    if found is None:
        return
    request = UpdateMessageStatusesRequest(results=[found])
    body = orjson.loads(request.model_dump_json(exclude_unset=True))
    assert flaw(body) is None
    assert len(orjson.dumps(body)) < 32_000
    ledgered = SendResult.model_validate_json(_known(found).split(b":", 3)[3])
    assert ledgered == found


@unhurried
@given(status=st.sampled_from([200, 201, 204, 301, 400, 401, 429, 500, 503]), content=CONTENTS)
def test_any_answer_of_the_cloud_api(status: int, content: bytes) -> None:
    attempt = conclude(status, content)
    assert_can_be_told(attempt)
    if 200 <= status < 300:
        assert isinstance(attempt, Accepted | OutcomeUnknown)
    else:
        assert isinstance(attempt, ErrorAnswer | OutcomeUnknown)


@pytest.mark.parametrize("depth", [50, 99, 150, 200, 500, 1000])
def test_a_deeply_nested_acceptance_is_one(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    attempt = conclude(200, f'{{"messages":[{{"id":"wamid.1"}}],"x":{deep}}}'.encode())
    assert isinstance(attempt, Accepted)
    assert attempt.wamid == "wamid.1"
    assert_can_be_told(attempt)


@pytest.mark.parametrize("wamid", ["x" * 2000, "a\0b", "a\nb"])
def test_an_id_that_cannot_be_kept_is_none(wamid: str) -> None:
    content = orjson.dumps({"messages": [{"id": wamid}]})
    assert isinstance(conclude(200, content), OutcomeUnknown)


def test_retries_that_nobody_can_count() -> None:
    for retries in (10**30, 5000, -7):
        row = claimed_row("row-1", retries=retries)
        attempt = conclude(503, b'{"error":{"code":131000,"message":"x"}}')
        assert decide(row, attempt).outcome is not None


def test_an_error_of_any_length_and_shape() -> None:
    deep: Any = []
    for _ in range(800):
        deep = [deep]
    for message in ("x" * 100_000, deep, {"a": deep}, 7, None):
        for code in (2**63, -1, 10**12, 100):
            answer = b'{"error":{"code":%d,"message":%s}}' % (code, _dump(message))
            attempt = conclude(400, answer)
            assert isinstance(attempt, ErrorAnswer)
            assert len(attempt.error.message) <= 2000
            assert_can_be_told(attempt)


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


# -- over the wire --


@pytest.mark.parametrize(
    "given_answer",
    [
        Answer(200, b'{"messages":[{"id":"wamid.%s"}],"x":' + b"[" * 400 + b"]" * 400 + b"}"),
        Answer(200, b"[" * 100_000),
        Answer(200, b'{"messages":[{"id":"wamid.%s"}],"n":' + b"9" * 30 + b"}"),
        Answer(200, b"\xff\xfe\xed\xa0\x80"),
        Answer(400, b'{"error":{"code":100,"message":' + b"[" * 900 + b"]" * 900 + b"}}"),
    ],
    ids=["deep", "only brackets", "huge", "not utf-8", "deep error"],
)
async def test_a_campaign_goes_on(
    make_stage: MakeStage, given_answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What becomes of a few is no outage here, which is another matter."""
    never = Tuning(in_a_row=99, most_signs=99, looked_at=99)
    monkeypatch.setattr("workers.sending.limiter.Tuning", lambda: never)
    stage = await make_stage(6)
    async with php_side.running() as cloud:

        def accept(call: Call) -> Answer:
            uid = call.json["biz_opaque_callback_data"].encode()
            return Answer(given_answer.status, given_answer.content.replace(b"%s", uid))

        cloud.rules.append(accept)
        api = CloudApi(cloud.url, "v26.0", timeout_s=5)
        try:
            async with stage.held() as lease:
                services = replace(stage.services(), cloud_api=api)
                await CampaignRun(services, stage.config, lease, stage.campaign.uid).run()
        finally:
            await api.close()
        assert len(cloud.calls) == 6
        cloud.calls.clear()
    accepted = b"wamid" in given_answer.content
    wanted = {4: 6} if accepted else {2: 6} if given_answer.status == 400 else {6: 6}
    assert stage.statuses() == wanted
    assert await stage.ledger.empty()


async def test_an_answer_of_any_size(make_api: MakeApi) -> None:
    """It is not read to its end, and neither is what it unpacks to."""
    async with php_side.running() as cloud:
        cloud.rules.append(lambda _call: Answer(200, b'{"a":"' + b"x" * 30_000_000 + b'"}'))
        attempt = await make_api(cloud.url).send("110", "token", b"{}")
        assert isinstance(attempt, OutcomeUnknown)
        cloud.calls.clear()


async def test_whatever_the_client_raises_is_an_unknown_outcome(
    make_api: MakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make_api("http://127.0.0.1:9")

    def fail(*_args: Any, **_more: Any) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(api.session, "request", fail)
    attempt = await api.send("110", "token", b"{}")
    assert isinstance(attempt, OutcomeUnknown)


# -- AIs --


@unhurried
@given(content=CONTENTS, kind=st.sampled_from(["openai", "flowise"]), cut=st.booleans())
def test_any_answer_of_an_ai(content: bytes, kind: str, cut: bool) -> None:
    provider = AiProvider(name="p", kind=kind, url="http://x")
    found = ai_provider._read(provider, Reply(200, content, None, cut))
    ai_provider._error_code(content)
    if isinstance(found, Said):
        answer = AiAnswer(
            id="q",
            vendor_uid="v",
            outcome=AiOutcome.ANSWERED,
            text=found.text,
            usage=found.usage,
            at=1,
        )
        body = orjson.loads(AiAnswersRequest(answers=[answer]).model_dump_json())
        assert flaw(body) is None


def test_what_an_ai_says_of_its_usage_spoils_no_answer() -> None:
    provider = AiProvider(name="p", url="http://x")
    for odd in ODD_TEXTS:
        content = f'{{"choices":[{{"message":{{"content":"hi"}}}}],"usage":{{"n":{odd}}}}}'
        found = ai_provider._read(provider, Reply(200, content.encode()))
        if isinstance(found, Said):
            assert found.usage is None or len(orjson.dumps(found.usage)) < 5000
