import orjson
import pytest

from contracts.cloud_api.errors import RULES
from contracts.cloud_api.messages import ErrorResponse
from simulator.cloud_api.refusal import Refusal

#: Codes of the Graph API itself, which say what is wrong in their message.
GRAPH_CODES = {0, 1, 2, 3, 4, 10, 190, 368}


@pytest.mark.parametrize("code", sorted(RULES))
def test_every_code_has_a_body(code: int) -> None:
    refusal = Refusal(code, "What is wrong.")
    assert refusal.http_status == RULES[code].http_status
    error = ErrorResponse.model_validate_json(refusal.body()).error
    assert error is not None
    assert (error.code, error.type) == (code, "OAuthException")
    assert error.message is not None
    if code in GRAPH_CODES:
        assert (error.message, error.error_data) == ("What is wrong.", None)
    else:
        assert error.message.startswith(f"(#{code}) ")
        assert error.error_data == {"messaging_product": "whatsapp", "details": "What is wrong."}
    assert error.fbtrace_id


def test_codes_that_are_not_in_the_table() -> None:
    assert Refusal(210).http_status == 403
    assert Refusal(999999).http_status == 400
    assert orjson.loads(Refusal(999999).body())["error"]["code"] == 999999


def test_what_is_gone_looks_as_the_graph_api_says_it() -> None:
    error = orjson.loads(Refusal(100, "Object with ID '1' does not exist.", subcode=33).body())
    error = error["error"]
    assert (error["code"], error["error_subcode"]) == (100, 33)
    assert error["type"] == "GraphMethodException"
    assert error["message"].startswith("Object")
    assert "error_data" not in error


def test_what_passes_says_so() -> None:
    assert orjson.loads(Refusal(2).body())["error"]["is_transient"] is True
    assert "is_transient" not in orjson.loads(Refusal(131026).body())["error"]


def test_a_restricted_account_says_so_to_people() -> None:
    assert orjson.loads(Refusal(368).body())["error"]["error_user_msg"]
