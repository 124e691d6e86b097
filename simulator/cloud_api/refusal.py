"""Error answers of the Graph API."""

import secrets
from typing import Any

import orjson

from contracts.cloud_api.errors import rule_for


class Refusal(Exception):
    """The send is refused with an error code; ``details`` says more where there is more."""

    def __init__(self, code: int, details: str | None = None) -> None:
        super().__init__(code, details)
        rule = rule_for(code, 400)
        self.code = code
        self.http_status = rule.http_status
        self.title = f"(#{code}) {rule.meaning[:1].upper()}{rule.meaning[1:]}"
        self.details = details or f"{rule.meaning[:1].upper()}{rule.meaning[1:]}."

    def body(self, subcode: int | None = None) -> bytes:
        """Return the answer's body, as JSON."""
        error: dict[str, Any] = {
            "message": self.title,
            "type": "OAuthException",
            "code": self.code,
            "error_data": {"messaging_product": "whatsapp", "details": self.details},
            "fbtrace_id": "A" + secrets.token_urlsafe(16),
        }
        if subcode is not None:
            error["error_subcode"] = subcode
        return orjson.dumps({"error": error})
