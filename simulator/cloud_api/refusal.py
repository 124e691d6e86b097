"""Error answers of the Graph API."""

import secrets
from typing import Any

import orjson

from contracts.cloud_api.errors import rule_for

#: Codes of the Graph API itself. Their message is the detail, and they have no ``error_data``.
_GRAPH = frozenset({0, 1, 2, 3, 4, 10, 190, 368})
_TRANSIENT = frozenset({1, 2, 4})
#: Meta shows these to people.
_FOR_PEOPLE = {
    368: ("You're Temporarily Blocked", "This account is restricted for violating a policy."),
}


class Refusal(Exception):
    """The call is refused with an error code; ``details`` says more where there is more."""

    def __init__(
        self, code: int, details: str | None = None, *, subcode: int | None = None
    ) -> None:
        super().__init__(code, details)
        rule = rule_for(code, 400)
        meaning = f"{rule.meaning[:1].upper()}{rule.meaning[1:]}"
        self.code = code
        self.subcode = subcode
        self.http_status = rule.http_status
        self.details = details or f"{meaning}."
        self.title = f"(#{code}) {meaning}"

    def body(self) -> bytes:
        """Return the answer's body, as JSON."""
        error: dict[str, Any] = {"message": self.title, "type": "OAuthException", "code": self.code}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.code in _GRAPH or 200 <= self.code <= 299 or self._is_gone:
            error["message"] = self.details
        else:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self._is_gone:
            error["type"] = "GraphMethodException"
        if self.code in _TRANSIENT:
            error["is_transient"] = True
        if self.code in _FOR_PEOPLE:
            error["error_user_title"], error["error_user_msg"] = _FOR_PEOPLE[self.code]
        error["fbtrace_id"] = "A" + secrets.token_urlsafe(16)
        return orjson.dumps({"error": error})

    @property
    def _is_gone(self) -> bool:
        return (self.code, self.subcode) == (100, 33)
