"""The signing scheme: a vector for other languages, and every way in which a call is refused."""

import hashlib
import hmac
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.signing import (
    DEFAULT_WINDOW_S,
    KEY_HEADER,
    NONCE_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Audience,
    Refusal,
    SignatureRefused,
    Signer,
    VerifiedCall,
    Verifier,
)
from tests.contracts.hypotheses import unhurried

NOW = 1_700_000_000
SECRET = b"a secret of the test"
OTHER_SECRET = b"another secret of the test"
METHOD = "POST"
TARGET = "/internal/campaigns/c%2F1/send?dry=1"
BODY = '{"reason":"späť 👋"}'.encode()
NONCE = "Aa0_-Zz9"

AT = f"{NOW}.000"

#: The signatures of the call above, for implementations in other languages.
GOLDEN = "v2=a73d09de5e8cbabb908f464e9fcd9bbeafacb6c09a175e93de0d2961e57a7dfb"
GOLDEN_FOR_SIDECAR = "v2=433675edd747d192e0c106c62b99a7141f9dc2ae39f0381ceb43d27849d94f6b"

HEADERS = {
    KEY_HEADER: "k1",
    TIMESTAMP_HEADER: AT,
    NONCE_HEADER: NONCE,
    SIGNATURE_HEADER: GOLDEN,
}


def by_hand(secret: bytes, timestamp: str, nonce: str, body: bytes) -> str:
    text = b"v2\nbackend\nPOST\n/internal/campaigns/c%2F1/send?dry=1\n"
    text += timestamp.encode() + b"\n" + nonce.encode() + b"\n"
    text += hashlib.sha256(body).hexdigest().encode()
    return "v2=" + hmac.new(secret, text, hashlib.sha256).hexdigest()


def verifier(now: float = NOW, **keys: bytes) -> Verifier:
    return Verifier(Audience.BACKEND, keys or {"k1": SECRET}, clock=lambda: now)


def any_verifier() -> Verifier:
    """Knows every key id of one digit, each with a secret of its own."""
    others = {f"k{n}": OTHER_SECRET + bytes([n]) for n in range(10)}
    return Verifier(Audience.BACKEND, {**others, "k1": SECRET}, clock=lambda: NOW)


def refusal_of(
    headers: dict[str, str],
    *,
    method: str = METHOD,
    target: str = TARGET,
    body: bytes = BODY,
    by: Verifier | None = None,
) -> Refusal | None:
    try:
        (by or verifier()).verify(method, target, headers, body)
    except SignatureRefused as refused:
        return refused.code
    return None


def test_golden_vector() -> None:
    assert by_hand(SECRET, AT, NONCE, BODY) == GOLDEN
    assert verifier().verify(METHOD, TARGET, HEADERS, BODY) == VerifiedCall("k1", NONCE, NOW)


def test_a_call_is_for_one_side_only() -> None:
    for_sidecar = Verifier(Audience.SIDECAR, {"k1": SECRET}, clock=lambda: NOW)
    assert refusal_of({**HEADERS, SIGNATURE_HEADER: GOLDEN_FOR_SIDECAR}, by=for_sidecar) is None
    assert refusal_of(HEADERS, by=for_sidecar) is Refusal.SIGNATURE_MISMATCH
    theirs = {**HEADERS, SIGNATURE_HEADER: GOLDEN_FOR_SIDECAR}
    assert refusal_of(theirs) is Refusal.SIGNATURE_MISMATCH


def test_signer_writes_what_the_documentation_says() -> None:
    headers = Signer(Audience.BACKEND, "k1", SECRET, clock=lambda: NOW + 0.9009).headers(
        METHOD, TARGET, BODY
    )
    nonce = headers[NONCE_HEADER]
    assert headers == {
        "X-Sidecar-Key": "k1",
        "X-Sidecar-Timestamp": f"{NOW}.900",
        "X-Sidecar-Nonce": nonce,
        "X-Sidecar-Signature": by_hand(SECRET, f"{NOW}.900", nonce, BODY),
    }
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", nonce)


def test_every_attempt_has_a_nonce_of_its_own() -> None:
    signer = Signer(Audience.BACKEND, "k1", SECRET)
    nonces = {signer.headers(METHOD, TARGET, BODY)[NONCE_HEADER] for _ in range(100)}
    assert len(nonces) == 100


def test_default_clocks_agree() -> None:
    headers = Signer(Audience.BACKEND, "k1", SECRET).headers(METHOD, TARGET, BODY)
    assert refusal_of(headers, by=Verifier(Audience.BACKEND, {"k1": SECRET})) is None


@unhurried
@given(
    method=st.sampled_from(["GET", "POST", "post"]),
    target=st.text(alphabet=st.characters(codec="ascii", exclude_categories=["C"]), min_size=1),
    body=st.binary(),
    secret=st.binary(min_size=1),
)
def test_what_is_signed_verifies(method: str, target: str, body: bytes, secret: bytes) -> None:
    headers = Signer(Audience.BACKEND, "k1", secret, clock=lambda: NOW).headers(
        method, target, body
    )
    assert refusal_of(headers, method=method, target=target, body=body, by=verifier(k1=secret)) is (
        None
    )


def test_header_names_in_lower_case() -> None:
    assert refusal_of({name.lower(): value for name, value in HEADERS.items()}) is None


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("instead", [None, ""])
def test_a_header_is_missing(name: str, instead: str | None) -> None:
    headers = {key: value for key, value in HEADERS.items() if key != name}
    if instead is not None:
        headers[name] = instead
    assert refusal_of(headers) is Refusal.SIGNATURE_MISSING


@pytest.mark.parametrize(
    "timestamp",
    [
        *("-1", "+1700000000.000", "1.7e9", "1700000000.0", "１７.000", " 17.000", "17.000\n"),
        *("1" * 13 + ".000", "1700000000", "1700000000.0000", "nan", "1_0.000"),
    ],
)
def test_timestamp_is_malformed(timestamp: str) -> None:
    assert refusal_of({**HEADERS, TIMESTAMP_HEADER: timestamp}) is Refusal.SIGNATURE_MALFORMED


@pytest.mark.parametrize("nonce", ["1234567", "a" * 65, "12345678\n", "1234 5678", "1234567é"])
def test_nonce_is_malformed(nonce: str) -> None:
    assert refusal_of({**HEADERS, NONCE_HEADER: nonce}) is Refusal.SIGNATURE_MALFORMED


@pytest.mark.parametrize("length", [8, 64])
def test_shortest_and_longest_nonce(length: int) -> None:
    nonce = "n" * length
    signature = by_hand(SECRET, AT, nonce, BODY)
    headers = {**HEADERS, NONCE_HEADER: nonce, SIGNATURE_HEADER: signature}
    assert refusal_of(headers) is None


def test_key_is_unknown() -> None:
    assert refusal_of({**HEADERS, KEY_HEADER: "k2"}) is Refusal.KEY_UNKNOWN


@pytest.mark.parametrize(
    ("ahead_s", "refusal"),
    [
        (0, None),
        (DEFAULT_WINDOW_S, None),
        (-DEFAULT_WINDOW_S, None),
        (DEFAULT_WINDOW_S + 0.001, Refusal.TIMESTAMP_STALE),
        (-DEFAULT_WINDOW_S - 0.001, Refusal.TIMESTAMP_STALE),
        (1e9, Refusal.TIMESTAMP_STALE),
        (-1e9, Refusal.TIMESTAMP_STALE),
    ],
)
def test_edges_of_the_window(ahead_s: float, refusal: Refusal | None) -> None:
    assert refusal_of(HEADERS, by=verifier(NOW + ahead_s)) is refusal


@unhurried
@given(window_s=st.integers(1, 3600), sent=st.integers(0, 10**9))
def test_nonce_outlives_every_acceptance(window_s: int, sent: int) -> None:
    """Redis counts whole seconds at best: the nonce must be there at the end of the last one."""
    first, last = sent - window_s, sent + window_s
    assert first + Verifier(Audience.BACKEND, {}, window_s=window_s).nonce_ttl_s > last


def test_the_window_can_be_set() -> None:
    narrow = Verifier(Audience.BACKEND, {"k1": SECRET}, window_s=10, clock=lambda: NOW + 11)
    assert refusal_of(HEADERS, by=narrow) is Refusal.TIMESTAMP_STALE


@pytest.mark.parametrize(
    "signature", ["v2=", "v1=" + GOLDEN[3:], GOLDEN.upper(), GOLDEN[:-1], GOLDEN + "0", "é", "\n"]
)
def test_signature_does_not_fit(signature: str) -> None:
    assert refusal_of({**HEADERS, SIGNATURE_HEADER: signature}) is Refusal.SIGNATURE_MISMATCH


def test_the_case_of_the_method_does_not_matter() -> None:
    assert refusal_of(HEADERS, method="post") is None


def changed_text(text: str, data: Any) -> str:
    place = data.draw(st.integers(0, len(text) - 1), label="place")
    letters = st.characters(min_codepoint=33, max_codepoint=126)
    letter: str = data.draw(letters, label="letter")
    return text[:place] + letter + text[place + 1 :]


@unhurried
@given(data=st.data())
def test_a_changed_byte_of_the_method(data: Any) -> None:
    changed = changed_text(METHOD, data)
    assume(changed.upper() != METHOD)
    assert refusal_of(HEADERS, method=changed) is Refusal.SIGNATURE_MISMATCH


@unhurried
@given(data=st.data())
def test_a_changed_byte_of_path_or_query(data: Any) -> None:
    changed = changed_text(TARGET, data)
    assume(changed != TARGET)
    assert refusal_of(HEADERS, target=changed) is Refusal.SIGNATURE_MISMATCH


@unhurried
@given(name=st.sampled_from(list(HEADERS)), data=st.data())
def test_a_changed_byte_of_a_header(name: str, data: Any) -> None:
    changed = changed_text(HEADERS[name], data)
    assume(changed != HEADERS[name])
    assert refusal_of({**HEADERS, name: changed}, by=any_verifier()) is not None


@unhurried
@given(place=st.integers(0, len(BODY) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_of_the_body(place: int, byte: int) -> None:
    changed = BODY[:place] + bytes([byte]) + BODY[place + 1 :]
    assume(changed != BODY)
    assert refusal_of(HEADERS, body=changed) is Refusal.SIGNATURE_MISMATCH


@unhurried
@given(place=st.integers(0, len(BODY)), inserted=st.binary(min_size=1, max_size=4))
def test_a_longer_or_shorter_body(place: int, inserted: bytes) -> None:
    longer = BODY[:place] + inserted + BODY[place:]
    assert refusal_of(HEADERS, body=longer) is Refusal.SIGNATURE_MISMATCH
    assert refusal_of(HEADERS, body=BODY[:place]) is (
        None if place == len(BODY) else Refusal.SIGNATURE_MISMATCH
    )


def test_a_body_of_another_call() -> None:
    assert refusal_of(HEADERS, body=b"") is Refusal.SIGNATURE_MISMATCH
    assert refusal_of(HEADERS, target="/internal/claim-messages") is Refusal.SIGNATURE_MISMATCH


def test_keys_are_rotated_without_a_gap() -> None:
    old = Signer(Audience.BACKEND, "k1", SECRET, clock=lambda: NOW)
    new = Signer(Audience.BACKEND, "k2", OTHER_SECRET, clock=lambda: NOW)
    before, meanwhile, after = (
        verifier(k1=SECRET),
        verifier(k1=SECRET, k2=OTHER_SECRET),
        verifier(k2=OTHER_SECRET),
    )

    def outcome(signer: Signer, by: Verifier) -> Refusal | None:
        return refusal_of(signer.headers(METHOD, TARGET, BODY), by=by)

    assert [outcome(old, by) for by in (before, meanwhile, after)] == [
        None,
        None,
        Refusal.KEY_UNKNOWN,
    ]
    assert [outcome(new, by) for by in (before, meanwhile, after)] == [
        Refusal.KEY_UNKNOWN,
        None,
        None,
    ]


def test_a_key_does_not_stand_in_for_another() -> None:
    by = verifier(k1=SECRET, k2=OTHER_SECRET)
    assert refusal_of({**HEADERS, KEY_HEADER: "k2"}, by=by) is Refusal.SIGNATURE_MISMATCH


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_secrets_are_not_shown(secret: bytes) -> None:
    signer, by = Signer(Audience.BACKEND, "k1", secret), verifier(k1=secret)
    for shown in (repr(signer), str(signer), repr(by), str(by), f"{[signer, by]}"):
        assert secret.decode() not in shown
        assert secret.hex() not in shown


@pytest.mark.parametrize("code", Refusal)
def test_a_refusal_says_why_and_nothing_secret(code: Refusal) -> None:
    refused = SignatureRefused(code)
    assert refused.code is code
    assert len(str(refused)) > 20
    assert code.value == code.name.lower()


def test_a_mismatch_does_not_give_the_right_signature_away() -> None:
    with pytest.raises(SignatureRefused) as refused:
        verifier().verify(METHOD, TARGET, {**HEADERS, SIGNATURE_HEADER: "v2=00"}, BODY)
    assert GOLDEN[3:] not in f"{refused.value!r} {refused.value}"
