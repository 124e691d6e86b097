"""The made-up template of seeded campaigns, and its personalised parameters."""

import sqlite3
import time
import uuid
from collections.abc import Callable
from typing import Any

from simulator.backend.seed_rows import insert_rows
from simulator.backend.times import to_text

#: Components of one row's template, by the contact's first name and the row's position.
Components = Callable[[str, int], list[dict[str, Any]]]


def personalised(first_name: str, position: int) -> list[dict[str, Any]]:
    """Return components with a body of two parameters and a button with a code of its own."""
    return [
        {
            "type": "body",
            "parameters": [
                {"type": "text", "text": first_name},
                {"type": "text", "text": f"{5 + position % 46} %"},
            ],
        },
        {
            "type": "button",
            "sub_type": "url",
            "index": "0",
            "parameters": [{"type": "text", "text": f"offer-{position:06d}"}],
        },
    ]


def proforma(name: str, language: str) -> dict[str, Any]:
    """Return the template that :func:`personalised` fills in, as Meta describes templates."""
    return {
        "name": name,
        "language": language,
        "status": "APPROVED",
        "category": "MARKETING",
        "components": [
            {"type": "BODY", "text": "Hello {{1}}, this week everything is {{2}} off."},
            {
                "type": "BUTTONS",
                "buttons": [{"type": "URL", "text": "See", "url": "https://shop.example/{{1}}"}],
            },
        ],
    }


def seed_category(
    connection: sqlite3.Connection, owner: int, name: str, language: str, category: str | None
) -> None:
    """Have the vendor's templates say this category, if they do not; None: leave them as they
    are."""
    known = connection.execute(
        "SELECT category FROM whatsapp_templates"
        " WHERE vendors__id = ? AND template_name = ? AND language = ? ORDER BY _id DESC LIMIT 1",
        (owner, name, language),
    ).fetchone()
    if category is None or (known is not None and known[0] == category):
        return
    template = {
        "_uid": str(uuid.uuid4()),
        "created_at": to_text(int(time.time() * 1000)),
        "vendors__id": owner,
        "status": "APPROVED",
        "template_name": name,
        "category": category,
        "language": language,
    }
    insert_rows(connection, "whatsapp_templates", [template])
