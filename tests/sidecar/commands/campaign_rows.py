"""A campaign's rows with the embedded backend as PHP's side, and how they stand."""

from typing import Any

import orjson
from click.testing import Result

from simulator.backend.sends import NOT_SENT
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign

TABLE = "whatsapp_message_queue"

#: No Redis is there.
AWAY = {"SIDECAR_REDIS_URL": "redis://127.0.0.1:9/0"}


def state(php: EmbeddedBackend, campaign: Campaign) -> tuple[str, str | None]:
    [row] = php.rows("campaigns", _uid=campaign.uid)
    kept = (row["__data"] or {}).get("sidecar", {})
    return kept.get("state", "running"), kept.get("reason")


def statuses(php: EmbeddedBackend, campaign: Campaign) -> list[int]:
    return [row["status"] for row in php.rows(TABLE, campaigns__id=campaign.id)]


def listed(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [orjson.loads(line) for line in result.stdout.splitlines()]


def fail(php: EmbeddedBackend, uid: str, code: str, *, sent: bool = False) -> None:
    """Have a row be one that failed, and was certainly not sent."""
    [row] = php.rows(TABLE, _uid=uid)
    response = {"error_status": code, "error_message": f"Meta's text of {code}"}
    known = {} if sent else {NOT_SENT: row["updated_at"]}
    values = {"status": 2, "__data.process_response": response, "__data.sidecar": known}
    php.change(TABLE, values, _uid=uid)
