"""Forms that browsers post: ``application/x-www-form-urlencoded``, small, and never a file."""

import hmac
from urllib.parse import parse_qsl

from starlette.requests import Request

#: Largest form, and most fields: some thousand ids that were ticked.
MAX_BYTES = 512 * 1024
MAX_FIELDS = 5000

#: The field of a session's token.
TOKEN = "csrf"


class TooLarge(Exception):
    """The form is larger than any of ours. The message is for people."""


class Form:
    """A form's fields, in their order; one may come more than once."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self.fields = fields

    def get(self, name: str, default: str = "") -> str:
        """Return the last value of a field, without blanks around it."""
        return next((v.strip() for n, v in reversed(self.fields) if n == name), default)

    def exact(self, name: str) -> str:
        """Return the last value of a field as it was typed."""
        return next((v for n, v in reversed(self.fields) if n == name), "")

    def all(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [v for n, v in self.fields if n == name]

    def has_token(self, token: str) -> bool:
        return hmac.compare_digest(self.get(TOKEN).encode(), token.encode())


async def read_form(request: Request) -> Form:
    """Read a request's form. Raises :class:`TooLarge`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise TooLarge(f"The form is larger than {MAX_BYTES:,} bytes. Nothing was done.")
    text = body.decode("utf-8", "replace")
    try:
        return Form(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise TooLarge(f"The form has more than {MAX_FIELDS:,} fields. Nothing was done.") from None
