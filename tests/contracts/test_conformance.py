"""The helper that holds real traffic against the documents."""

from typing import Any

import pytest

from tests.contracts.conformance import assert_conforms, assert_request_conforms, load

BACKEND = load("backend")
SIDECAR = load("sidecar")

REFUSED = {"error": {"code": "key_unknown", "message": "compare signing_keys"}}
CAMPAIGN = {
    "campaign_uid": "c",
    "vendor_uid": "v",
    "state": "running",
    "active": True,
    "due": 3,
    "next_due_at": None,
    "counts": {"queued": 3},
}
CLAIM = {"vendor_uid": "v", "campaign_uid": "c", "claim_uid": "x", "fence": 1, "limit": 10}


def test_answers_that_conform() -> None:
    assert_conforms(SIDECAR, "GET", "/internal/campaigns/{campaign_uid}", 200, CAMPAIGN)
    assert_conforms(SIDECAR, "post", "/internal/campaigns/{campaign_uid}/send", 401, REFUSED)
    assert_conforms(SIDECAR, "POST", "/webhook/{vendor_uid}", 200, "done")
    assert_conforms(SIDECAR, "GET", "/webhook/{vendor_uid}", 403, "whatever PHP says")
    assert_conforms(SIDECAR, "GET", "/healthz", 200, {"status": "ok", "checks": {}})
    assert_conforms(BACKEND, "POST", "/internal/claim-messages", 200, {"rows": [], "new": 1})


def test_a_real_path_will_do() -> None:
    assert_conforms(SIDECAR, "GET", "/internal/campaigns/c-1", 200, CAMPAIGN)
    assert_conforms(SIDECAR, "POST", "/internal/campaigns/c-1/send?dry=1", 200, CAMPAIGN)
    assert_conforms(SIDECAR, "POST", "/whatsapp-webhook/v%2F1", 200, "done")


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"due": "3"}, r"\$\.due"),
        ({"state": "asleep"}, r"\$\.state"),
        ({"counts": {"queued": None}}, r"\$\.counts\.queued"),
        ({"unknown": 1}, "unknown"),
        ({"active": None}, r"\$\.active"),
    ],
)
def test_a_wrong_body(changed: dict[str, Any], place: str) -> None:
    with pytest.raises(AssertionError, match=place):
        assert_conforms(SIDECAR, "GET", "/internal/campaigns/c", 200, CAMPAIGN | changed)


@pytest.mark.parametrize("field", ["campaign_uid", "vendor_uid", "state", "counts"])
def test_a_missing_field(field: str) -> None:
    body = {name: value for name, value in CAMPAIGN.items() if name != field}
    with pytest.raises(AssertionError, match=f"'{field}' is a required property"):
        assert_conforms(SIDECAR, "GET", "/internal/campaigns/c", 200, body)


@pytest.mark.parametrize("body", [None, "done", [], {}, {"error": "no"}, b"{}"])
def test_a_refusal_of_another_shape(body: object) -> None:
    with pytest.raises(AssertionError, match="answered 401"):
        assert_conforms(SIDECAR, "POST", "/internal/invalidate", 401, body)


def test_text_that_is_none() -> None:
    with pytest.raises(AssertionError, match="is not of type 'string'"):
        assert_conforms(SIDECAR, "POST", "/webhook/v", 200, {"result": "done"})


@pytest.mark.parametrize(
    "path", ["/", "/internal/campaigns", "/internal/campaigns/c/stop", "/webhook/", "/webhook/a/b"]
)
def test_an_unknown_path(path: str) -> None:
    with pytest.raises(AssertionError, match="is not a documented path"):
        assert_conforms(SIDECAR, "POST", path, 200, "done")


def test_an_unknown_method() -> None:
    with pytest.raises(AssertionError, match="no documented method DELETE"):
        assert_conforms(SIDECAR, "DELETE", "/healthz", 200, {"status": "ok"})


@pytest.mark.parametrize("status", [204, 302, 418, 500])
def test_an_undocumented_status(status: int) -> None:
    with pytest.raises(AssertionError, match=f"answered {status}, but only 200, "):
        assert_conforms(BACKEND, "POST", "/internal/claim-messages", status, REFUSED)


def test_requests_that_conform() -> None:
    assert_request_conforms(BACKEND, "POST", "/internal/claim-messages", CLAIM)
    assert_request_conforms(BACKEND, "POST", "/internal/process-webhook/v", b"\xff no JSON")
    assert_request_conforms(SIDECAR, "POST", "/internal/campaigns/c/pause", None)
    assert_request_conforms(SIDECAR, "POST", "/internal/campaigns/c/pause", {"reason": "lunch"})
    assert_request_conforms(SIDECAR, "GET", "/internal/campaigns/c", None)
    assert_request_conforms(SIDECAR, "POST", "/webhook/v", ["of another shape"])


@pytest.mark.parametrize("changed", [{"limit": 0}, {"limit": 1001}, {"fence": "1"}, {"more": 1}])
def test_a_wrong_request(changed: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="request POST /internal/claim-messages"):
        assert_request_conforms(BACKEND, "POST", "/internal/claim-messages", CLAIM | changed)


def test_a_request_without_its_body() -> None:
    with pytest.raises(AssertionError, match="is not of type 'object'"):
        assert_request_conforms(BACKEND, "POST", "/internal/claim-messages", None)


def test_a_body_where_none_belongs() -> None:
    with pytest.raises(AssertionError, match="has a body, but none is documented"):
        assert_request_conforms(SIDECAR, "GET", "/healthz", {})
