"""The made-up template of seeded campaigns, and its personalised parameters."""

from collections.abc import Callable
from typing import Any

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
