"""The link to the console: a vector for other languages, and links of another form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.console import LINK_PATH, NAME_LENGTH, Role, make_link, read_link
from contracts.signing import Audience, Refusal, SignatureRefused, Signer, Verifier
from tests.contracts.hypotheses import unhurried

NOW = 1_700_000_000
SECRET = b"a secret of the test"
NONCE = "Aa0_-Zz9"
NAME = "Zoë & <b>Ada</b> 👋"
CLAIMS = "name=Zo%C3%AB%20%26%20%3Cb%3EAda%3C%2Fb%3E%20%F0%9F%91%8B&role=operate"

#: The signature of the link below, for implementations in other languages.
GOLDEN = "v2=8411ab92252732acba6f1661d940b01bed5ced54bfc60e486bc82d602ac565af"
LINK = f"{CLAIMS}&key=k1&at={NOW}.000&nonce={NONCE}&signature={GOLDEN.replace('=', '%3D')}"


def verify(query: str, audience: Audience = Audience.CONSOLE) -> None:
    link = read_link(query)
    Verifier(audience, {"k1": SECRET}, clock=lambda: NOW).verify(
        "GET", link.target, link.headers, b""
    )


def test_golden_vector() -> None:
    link = read_link(LINK)
    assert (link.name, link.role, link.target) == (NAME, Role.OPERATE, f"{LINK_PATH}?{CLAIMS}")
    verify(LINK)


def test_a_link_is_made_as_the_vector_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contracts.signing.secrets.token_hex", lambda size: NONCE)
    signer = Signer(Audience.CONSOLE, "k1", SECRET, clock=lambda: NOW)
    assert make_link(signer, NAME, Role.OPERATE) == f"{LINK_PATH}?{LINK}"


@pytest.mark.parametrize("audience", [Audience.SIDECAR, Audience.BACKEND])
def test_a_link_is_for_the_console_only(audience: Audience) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(LINK, audience)
    assert refused.value.code is Refusal.SIGNATURE_MISMATCH


@unhurried
@given(name=st.text(min_size=1, max_size=NAME_LENGTH), role=st.sampled_from(Role))
def test_what_is_made_is_read(name: str, role: Role) -> None:
    path, _, query = make_link(Signer(Audience.CONSOLE, "k1", SECRET), name, role).partition("?")
    link = read_link(query)
    assert (path, link.name, link.role) == (LINK_PATH, name, role)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "name=Ada&role=look",
        f"{LINK}&more=1",
        f"role=operate&{LINK}",
        LINK.replace("role=operate&", ""),
        LINK.replace("role=operate", "role=admin"),
        LINK.replace("role=operate", "role=operate&role=look"),
        LINK.replace("key=k1&", "").replace("nonce", "key=k1&nonce"),
        LINK.replace("name=", "name"),
        "name=&role=look&key=k1&at=1.000&nonce=Aa0_-Zz9&signature=v2",
        LINK.replace("Zo%C3%AB", "A" * NAME_LENGTH),
        LINK.replace("Zo%C3%AB", "%FF"),
        LINK.replace("k1", "k" * 4096),
    ],
)
def test_a_link_of_another_form(query: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_link(query)
