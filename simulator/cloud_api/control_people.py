"""The control endpoint for customers who change their number or user id."""

from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from contracts.lenient import StrictModel
from simulator.cloud_api.control_http import json_answer, ordered_number, read_order
from simulator.cloud_api.customer import Customer, CustomerBook
from simulator.cloud_api.customers import Customers
from simulator.cloud_api.number import Numbers
from simulator.cloud_api.recipient import DIGITS, USER_ID


class ChangeOrder(StrictModel):
    """A customer, and what takes the place of the number or of the user id: one of them."""

    phone_number_id: str | None = None
    from_: str | None = Field(default=None, alias="from", pattern=DIGITS)
    user_id: str | None = Field(default=None, pattern=USER_ID)
    new_number: str | None = Field(default=None, pattern=DIGITS)
    new_user_id: str | None = Field(default=None, pattern=USER_ID)

    @model_validator(mode="after")
    def _consistent(self) -> "ChangeOrder":
        if (self.new_number is None) is (self.new_user_id is None):
            raise ValueError("give one of `new_number` and `new_user_id`")
        if (self.from_ if self.new_number else self.user_id) is None:
            raise ValueError("`new_number` needs `from`, and `new_user_id` needs `user_id`")
        return self


class PeopleControl:
    def __init__(self, customers: Customers, people: CustomerBook, numbers: Numbers) -> None:
        self._customers = customers
        self._people = people
        self._numbers = numbers

    def routes(self) -> list[Route]:
        return [Route("/customers/change", self.change, methods=["POST"])]

    async def change(self, request: Request) -> Response:
        order = await read_order(request, ChangeOrder)
        number = ordered_number(self._numbers, order.phone_number_id)
        known = self._people.find(order.from_ or order.user_id or "")
        user_id = order.user_id or known.user_id
        old = Customer(order.from_, user_id, known.username)
        new = Customer(order.new_number or order.from_, order.new_user_id or user_id, old.username)
        return json_answer({"wamid": self._customers.change(number, old, new).wamid})
