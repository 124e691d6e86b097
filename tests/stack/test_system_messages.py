"""System messages on tables of another version."""

from collections.abc import Iterator

import pytest

from contracts.backend import AI_ANSWERS, UpdateMessageStatusesAnswer
from contracts.effects import AiProvider
from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import now_ms
from tests.contract.talk import question, says, sends
from tests.contract.under_test import Vendor


@pytest.fixture
def lacking(backend: LaravelBackend) -> Iterator[None]:
    """An installation without the column that marks them."""
    backend.run("ALTER TABLE whatsapp_message_logs DROP COLUMN is_system_message")
    yield
    backend.run(
        "ALTER TABLE whatsapp_message_logs ADD COLUMN is_system_message TINYINT UNSIGNED NULL"
    )


@pytest.mark.usefixtures("lacking")
async def test_an_installation_may_lack_the_column_that_marks_them(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    system = {"type": "customer_identity_changed", "body": "Ada changed their phone"}
    results = await caller.process(
        says(vendor, "", type="system", system=system), says(vendor, "Hi")
    )
    assert [result.result for result in results] == ["done", "done"]
    rows = backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert [row["message"] for row in rows] == ["Ada changed their phone", "Hi"]


@pytest.mark.usefixtures("lacking")
async def test_an_ai_answers_there_too(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    backend.seed_effects(
        vendor, ai=AiProvider(name="main", url="http://127.0.0.1:1/v1", api_key="k", model="m")
    )
    [asked] = await caller.process(says(vendor, "Do you ship?"))
    said = {"id": question(asked).id, "vendor_uid": vendor.uid, "outcome": "answered"}
    answered = await caller.call(
        AI_ANSWERS, {"answers": [{**said, "text": "We do.", "at": now_ms()}]}
    )
    [result] = UpdateMessageStatusesAnswer.model_validate(answered).results
    assert [message.message["text"]["body"] for message in sends(result)] == ["We do."]
