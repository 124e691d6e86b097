"""The text of a customer's message: what bots are compared with.

Field names as in the webhooks reference of the Cloud API (messages, by type).
"""

from collections.abc import Mapping
from typing import Any

#: Where the text stands, by the message's type. Any other type that a person sends has none.
_TEXT: dict[str, tuple[tuple[str, ...], ...]] = {
    "text": (("text", "body"),),
    "button": (("button", "text"),),
    "interactive": (
        ("interactive", "button_reply", "title"),
        ("interactive", "list_reply", "title"),
    ),
    "image": (("image", "caption"),),
    "video": (("video", "caption"),),
    "document": (("document", "caption"),),
}

#: Types that say nothing to a bot: a reaction belongs to another message, and the others tell of
#: the conversation.
_NOT_SAID = frozenset(
    {"reaction", "system", "unsupported", "unknown", "ephemeral", "errors", "request_welcome"}
)


def message_text(message: Mapping[str, Any]) -> str | None:
    """Return the text of an element of ``messages``: what the customer has written, or the title
    of the button that was pressed, or the caption; "" where a message has none. None where no bot
    may answer: it is nothing that a customer says."""
    kind = message.get("type")
    if not isinstance(kind, str) or kind in _NOT_SAID:
        return None
    for path in _TEXT.get(kind, ()):
        value: Any = message
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, str):
            return value
    return ""
