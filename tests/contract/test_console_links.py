"""The links by which users of the admin sign in to the sidecar's console."""

import time

import pytest

from contracts.console import LINK_PATH, LINK_TTL_S, Role, read_link
from contracts.signing import Audience, Refusal, SignatureRefused, Verifier
from tests.contract.under_test import BackendUnderTest


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("name", ["Ada", "Zoë & <b>O'Ada</b>+=%2B?#/ 👋"])
def test_the_sidecar_reads_what_php_signs(backend: BackendUnderTest, name: str, role: Role) -> None:
    path, _, query = backend.console_link(name, role).partition("?")
    link = read_link(query)
    assert (path, link.name, link.role) == (LINK_PATH, name, role)
    verified = Verifier(Audience.CONSOLE, backend.keys, LINK_TTL_S).verify(
        "GET", link.target, link.headers, b""
    )
    assert abs(verified.signed_at - time.time()) < LINK_TTL_S
    calls = Verifier(Audience.SIDECAR, backend.keys)
    with pytest.raises(SignatureRefused) as refused:
        calls.verify("GET", link.target, link.headers, b"")
    assert refused.value.code is Refusal.SIGNATURE_MISMATCH


def test_no_link_is_made_twice(backend: BackendUnderTest) -> None:
    one, other = (
        read_link(backend.console_link("Ada", Role.LOOK).partition("?")[2]) for _ in range(2)
    )
    assert one.headers != other.headers
