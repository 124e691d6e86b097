import orjson
import pytest

from contracts.cloud_api.errors import RULES
from contracts.cloud_api.messages import ErrorResponse
from simulator.cloud_api.refusal import Refusal


@pytest.mark.parametrize("code", sorted(RULES))
def test_every_code_has_a_body(code: int) -> None:
    refusal = Refusal(code, "What is wrong.")
    assert refusal.http_status == RULES[code].http_status
    error = ErrorResponse.model_validate_json(refusal.body()).error
    assert error is not None
    assert (error.code, error.type) == (code, "OAuthException")
    assert error.message is not None
    assert error.message.startswith(f"(#{code}) ")
    assert error.error_data == {"messaging_product": "whatsapp", "details": "What is wrong."}
    assert error.fbtrace_id


def test_codes_that_are_not_in_the_table() -> None:
    assert Refusal(210).http_status == 403
    assert Refusal(999999).http_status == 400
    assert orjson.loads(Refusal(999999).body())["error"]["code"] == 999999
