"""``diagnosis``: how this backend is set up, and what waits in its tables. It has no crons."""

import platform
import sqlite3
import time
from typing import Any

import httpx
import orjson

from contracts.diagnosis import COLUMNS, MAX_WAITING, DiagnosisRequest
from contracts.sidecar_api import PING, PingRequest
from contracts.signing import Audience, Signer
from simulator.backend.database import Row
from simulator.backend.times import to_ms
from simulator.backend.work import Work

#: The tables' names in the configuration of the Laravel package, where they are other than here.
_TABLES = {
    "templates": "whatsapp_templates",
    "queue": "whatsapp_message_queue",
    "logs": "whatsapp_message_logs",
    "webhooks": "whatsapp_webhook_queue",
    "bots": "bot_replies",
}

_DUE = """
    SELECT vendors._uid AS vendor_uid, min(waiting.due_at) AS oldest_at
    FROM (SELECT campaigns__id, min(scheduled_at) AS due_at FROM whatsapp_message_queue
          WHERE status = 1 GROUP BY campaigns__id) AS waiting
    JOIN campaigns ON campaigns._id = waiting.campaigns__id
    JOIN vendors ON vendors._id = campaigns.vendors__id
    WHERE waiting.due_at <= ?
      AND coalesce(json_extract(campaigns.__data, '$.sidecar.state'), 'running')
          NOT IN ('paused', 'cancelled')
    GROUP BY vendors._uid ORDER BY oldest_at LIMIT ?
"""

_PENDING = """
    SELECT vendors._uid AS vendor_uid, min(oldest.created_at) AS oldest_at
    FROM (SELECT vendors__id, created_at FROM whatsapp_webhook_queue
          WHERE status = 'pending' ORDER BY _id LIMIT 1000) AS oldest
    JOIN vendors ON vendors._id = oldest.vendors__id
    GROUP BY vendors._uid ORDER BY oldest_at LIMIT ?
"""


def diagnosis(work: Work, request: DiagnosisRequest) -> dict[str, Any]:
    media_dir = work.config.media_dir
    token, timeout_s = request.call_back, request.call_back_timeout_ms / 1000
    return {
        "now": work.now_ms,
        "php": {
            "package": "embedded",
            "php": f"Python {platform.python_version()}",
            "signing_key_ids": list(work.config.keys),
            "signing_window_s": work.config.signature_window_s,
            "sidecar_url": work.config.sidecar_url,
            "media_dir": media_dir and str(media_dir),
            "media_readable": media_dir is None or media_dir.is_dir(),
            "timezone": "UTC",
            "rows_ahead_s": 0,
        },
        "database": {
            "product": "sqlite",
            "version": sqlite3.sqlite_version,
            "now": work.now_ms,
        },
        "tables": _tables(work),
        "due": [_waiting(row) for row in work.db.rows(_DUE, (work.now, MAX_WAITING))],
        "pending_webhooks": [_waiting(row) for row in work.db.rows(_PENDING, (MAX_WAITING,))],
        "call_back": None if token is None else _call_back(work, token, timeout_s),
    }


def _tables(work: Work) -> list[dict[str, Any]]:
    rows = work.db.rows(
        "SELECT tables.name AS in_table, columns.name FROM sqlite_master AS tables"
        " JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
    )
    columns: dict[str, list[str]] = {}
    for row in rows:
        columns.setdefault(row["in_table"], []).append(row["name"])
    names = {name: _TABLES.get(name, name) for name in COLUMNS}
    return [
        {"name": name, "table": table, "columns": columns.get(table, [])}
        for name, table in names.items()
    ]


def _waiting(row: Row) -> dict[str, Any]:
    return {"vendor_uid": row["vendor_uid"], "oldest_at": to_ms(row["oldest_at"])}


def _call_back(work: Work, token: str, timeout_s: float) -> dict[str, Any]:
    """Call the sidecar as PHP does: signed with the first key. All other calls wait meanwhile."""
    if work.config.sidecar_url is None:
        return {"took_ms": 0, "error": "this backend was not told where the sidecar is"}
    key_id, secret = next(iter(work.config.keys.items()))
    body = PingRequest(token=token).model_dump_json().encode()
    headers = Signer(Audience.SIDECAR, key_id, secret.get_secret_value()).headers(
        "POST", PING, body
    )
    started_at = time.perf_counter()
    found = _exchange(work.config.sidecar_url + PING, body, headers, timeout_s)
    return {"took_ms": int((time.perf_counter() - started_at) * 1000), **found}


def _exchange(url: str, body: bytes, headers: dict[str, str], timeout_s: float) -> dict[str, Any]:
    try:
        with httpx.Client(timeout=timeout_s, trust_env=False) as client:
            response = client.post(url, content=body, headers=headers)
        status, content = response.status_code, response.content
        if response.is_success:
            return {"status": status, "answer": orjson.loads(content)}
    except (httpx.HTTPError, orjson.JSONDecodeError) as error:
        return {"error": str(error) or type(error).__name__}
    return {"status": status, "error": f"answered {status}", "code": _code(content)}


def _code(body: bytes) -> str | None:
    try:
        return str(orjson.loads(body)["error"]["code"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
