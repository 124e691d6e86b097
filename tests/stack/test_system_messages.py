"""System messages on tables of another version."""

from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.talk import says
from tests.contract.under_test import Vendor


async def test_an_installation_may_lack_the_column_that_marks_them(
    caller: Caller, backend: LaravelBackend, vendor: Vendor
) -> None:
    system = {"type": "customer_identity_changed", "body": "Ada changed their phone"}
    backend.run("ALTER TABLE whatsapp_message_logs DROP COLUMN is_system_message")
    try:
        results = await caller.process(
            says(vendor, "", type="system", system=system), says(vendor, "Hi")
        )
    finally:
        backend.run(
            "ALTER TABLE whatsapp_message_logs ADD COLUMN is_system_message TINYINT UNSIGNED NULL"
        )
    assert [result.result for result in results] == ["done", "done"]
    rows = backend.rows("whatsapp_message_logs", vendors__id=vendor.id)
    assert [row["message"] for row in rows] == ["Ada changed their phone", "Hi"]
