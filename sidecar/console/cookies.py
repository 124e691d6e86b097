"""The cookie that holds a session's token."""

from starlette.requests import Request
from starlette.responses import Response

from sidecar.console.page import is_https
from sidecar.console.paths import ROOT

#: Over HTTPS, browsers hold a cookie of this prefix to be this host's own, and send it by HTTPS
#: only.
_SECURE = "__Host-sidecar"
_PLAIN = "sidecar_session"


def token_of(request: Request) -> str | None:
    """Return the token that the request carries."""
    return request.cookies.get(_SECURE if is_https(request) else _PLAIN)


def set_token(request: Request, answer: Response, token: str, longest_s: int) -> None:
    """Have the client keep a token."""
    https = is_https(request)
    answer.set_cookie(
        _SECURE if https else _PLAIN,
        token,
        max_age=longest_s,
        path="/" if https else ROOT,
        secure=https,
        httponly=True,
        # Strict would not be sent by who follows the link from PHP's admin.
        samesite="lax",
    )


def delete_token(request: Request, answer: Response) -> None:
    https = is_https(request)
    answer.delete_cookie(
        _SECURE if https else _PLAIN,
        path="/" if https else ROOT,
        secure=https,
        httponly=True,
        samesite="lax",
    )
