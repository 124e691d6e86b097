from typing import Any

import pytest

from simulator.cloud_api.refusal import Refusal
from simulator.cloud_api.request import TemplateUse
from simulator.cloud_api.template import TemplateConfig, Templates
from tests.simulator.cloud_api.helpers import Api, Receiver, simulating


def template(name: str, language: str = "en") -> dict[str, Any]:
    return {"template": {"name": name, "language": {"code": language}}}


def use(name: str, language: str = "en", body_parameters: int = 0) -> TemplateUse:
    return TemplateUse(name, language, body_parameters)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("APPROVED", None),
        ("PENDING", 132001),
        ("REJECTED", 132001),
        ("PAUSED", 132015),
        ("DISABLED", 132016),
    ],
)
def test_states(status: str, code: int | None) -> None:
    listed = TemplateConfig.model_validate({"name": "offer", "status": status})
    templates = Templates([listed], only_listed=False)
    if code is None:
        templates.check("A", use("offer"), to_user_id=True)
        return
    with pytest.raises(Refusal) as caught:
        templates.check("A", use("offer"), to_user_id=False)
    assert caught.value.code == code


def test_what_does_not_exist() -> None:
    listed = TemplateConfig(name="offer", account_id="A")
    templates = Templates([listed], only_listed=False)
    templates.check("A", use("other", "de"), to_user_id=False)
    with pytest.raises(Refusal, match="132001"):
        templates.check("A", use("offer", "de"), to_user_id=False)
    with pytest.raises(Refusal, match="132001"):
        templates.check("B", use("offer"), to_user_id=False)
    with pytest.raises(Refusal, match="132001"):
        Templates([listed], only_listed=True).check("A", use("other"), to_user_id=False)


async def test_parameters_are_counted() -> None:
    async with simulating(templates=[{"name": "offer", "body_parameters": 2}]) as api:
        for count, code in ((0, 132000), (1, 132000), (2, None), (3, 132000)):
            parameters = [{"type": "text", "text": "x"}] * count
            sent = template("offer")
            sent["template"]["components"] = [{"type": "body", "parameters": parameters}]
            answer = await api.send(**sent)
            assert (answer.status == 200) if code is None else answer.code == code
        assert (await api.send(**template("offer"))).code == 132000


async def test_authentication_needs_a_number() -> None:
    code = {"name": "code", "category": "AUTHENTICATION"}
    async with simulating(templates=[code]) as api:
        assert (await api.send(**template("code"))).status == 200
        refused = await api.send(to="", recipient="US.1", **template("code"))
        assert refused.code == 131062
        assert (await api.send(to="", recipient="US.1", **template("other"))).status == 200


async def change(api: Api, **order: Any) -> int:
    answer = await api.control("POST", "templates", order)
    webhooks: int = answer.json["webhooks"]
    return webhooks


async def test_changes_are_told(receiver: Receiver) -> None:
    numbers = [
        {"phone_number_id": "1", "account_id": "A"},
        {"phone_number_id": "2", "account_id": "A"},
        {"phone_number_id": "3", "account_id": "B"},
    ]
    async with simulating(receiver.url, phone_numbers=numbers) as api:
        assert await change(api, name="offer", account_id="A") == 1
        assert await change(api, name="offer", account_id="A") == 0
        assert await change(api, name="offer", account_id="A", status="DISABLED") == 1
        assert await change(api, name="offer", account_id="A", category="UTILITY") == 2
        assert await change(api, name="of all", status="PAUSED") == 2
        await api.idle()
        changes = [one for webhook in receiver.webhooks for one in webhook.changes]
        assert all(webhook.is_signed() for webhook in receiver.webhooks)
        assert [one["value"].get("event") for one in changes] == [
            "APPROVED",
            "DISABLED",
            "REINSTATED",
            None,
            "PAUSED",
            "PAUSED",
        ]
        assert changes[1]["field"] == "message_template_status_update"
        assert changes[3]["field"] == "template_category_update"
        assert changes[3]["value"]["new_category"] == "UTILITY"
        names = [one["name"] for one in (await api.control("GET", "templates")).json]
        assert names == ["offer", "of all"]


async def test_without_a_webhook_url() -> None:
    async with simulating() as api:
        assert await change(api, name="offer", status="PAUSED") == 0
        assert (await api.send(**template("offer"))).code == 132015
