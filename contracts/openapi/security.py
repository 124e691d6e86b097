"""The security schemes of both documents."""

from contracts import signing
from contracts.cloud_api import webhook
from contracts.openapi.endpoint import Body, documentation, refusal

_HEADERS = {
    "SidecarKey": (signing.KEY_HEADER, "The id of the secret."),
    "SidecarTimestamp": (
        signing.TIMESTAMP_HEADER,
        f"Unix time in seconds with three decimals, at most {signing.DEFAULT_WINDOW_S} from the "
        "receiver's.",
    ),
    "SidecarNonce": (signing.NONCE_HEADER, "8 to 64 of `A-Z a-z 0-9 _ -`, never used twice."),
    "SidecarSignature": (signing.SIGNATURE_HEADER, documentation(signing)),
}

#: The schemes of an internal call: all four headers.
SIGNED = tuple(_HEADERS)

#: The scheme of a webhook.
META_SIGNED = ("MetaSignature",)

#: What is said about Meta's header wherever it stands.
META_SIGNATURE = (
    "`sha256=` and the lowercase hex of HMAC-SHA256 under the app secret, over the exact bytes of "
    "the body."
)


def _header_scheme(name: str, description: str) -> dict[str, str]:
    return {"type": "apiKey", "in": "header", "name": name, "description": description}


_SCHEMES = {
    **{scheme: _header_scheme(*header) for scheme, header in _HEADERS.items()},
    "MetaSignature": _header_scheme(webhook.SIGNATURE_HEADER, META_SIGNATURE),
}


def schemes(names: set[str]) -> dict[str, dict[str, str]]:
    """Return the security schemes of these names, as a document holds them."""
    return {name: _SCHEMES[name] for name in names}


def unsigned_refusal() -> Body:
    """The 401 of an internal call, with the meaning of each of its codes."""
    codes = "\n".join(f"- `{code}`: {signing.SignatureRefused(code)}" for code in signing.Refusal)
    return refusal(f"Refused; nothing happened. By `error.code`:\n\n{codes}")
