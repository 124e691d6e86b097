"""What a page says about what was just done: carried over the redirect in a signed cookie."""

import hashlib
import hmac
from dataclasses import dataclass
from textwrap import shorten

from itsdangerous import BadSignature, URLSafeTimedSerializer

#: How long a notice waits to be shown, in seconds.
KEPT_S = 60
#: Cookies may have 4 kB.
_MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Notice:
    """``failed``: what was asked for was not done, or not all of it."""

    text: str
    failed: bool = False


class Notices:
    """``secret`` is any of the installation's; what is signed with it here means nothing
    elsewhere."""

    def __init__(self, secret: bytes) -> None:
        key = hmac.digest(secret, b"console notice", hashlib.sha256)
        self._signed = URLSafeTimedSerializer(key, salt="notice")

    def dump(self, notice: Notice, session: str) -> str:
        """Return the cookie of a notice that is shown to this session only."""
        text = shorten(notice.text, _MAX_TEXT, placeholder="...")
        return str(self._signed.dumps([session, text, notice.failed]))

    def load(self, cookie: str, session: str) -> Notice | None:
        """Return the notice, unless it is altered, old, or another session's."""
        try:
            owner, text, failed = self._signed.loads(cookie, max_age=KEPT_S)
        except BadSignature:
            return None
        return Notice(text, failed) if owner == session else None
