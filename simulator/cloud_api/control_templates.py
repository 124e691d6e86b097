"""The control endpoints for templates."""

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.cloud_api.control_http import json_answer, read_order
from simulator.cloud_api.delivery import Delivery
from simulator.cloud_api.number import Number, Numbers
from simulator.cloud_api.raw_post import RawPost, Signature
from simulator.cloud_api.template import TemplateChange, TemplateConfig, Templates


class TemplateControl:
    def __init__(self, templates: Templates, numbers: Numbers, delivery: Delivery) -> None:
        self._templates = templates
        self._numbers = numbers
        self._delivery = delivery

    def routes(self) -> list[Route]:
        return [
            Route("/templates", self.show, methods=["GET"]),
            Route("/templates", self.change, methods=["POST"]),
        ]

    async def show(self, _request: Request) -> Response:
        return json_answer([one.model_dump(mode="json") for one in self._templates])

    async def change(self, request: Request) -> Response:
        template = await read_order(request, TemplateConfig)
        changes = self._templates.change(template)
        posted = 0
        for number in self._owners(template.account_id):
            for change in changes:
                posted += self._post(number, change)
        return json_answer({"webhooks": posted})

    def _owners(self, account_id: str | None) -> list[Number]:
        """Return a number of each account that has the template: there its webhooks go."""
        accounts = {
            number.account_id: number
            for number in self._numbers
            if account_id in (None, number.account_id)
        }
        return list(accounts.values())

    def _post(self, number: Number, change: TemplateChange) -> int:
        if number.subscription is None:
            return 0
        now = self._delivery.now()
        entry = {
            "id": number.account_id,
            "time": int(now),
            "changes": [{"value": change.value, "field": change.field}],
        }
        body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
        post = RawPost(body, Signature.VALID, now, retries=True)
        self._delivery.push(number.subscription, post)
        return 1
