import re

from simulator.cloud_api.customer import Customer, CustomerBook, hidden, hiding
from simulator.cloud_api.recipient import USER_ID


def test_what_webhooks_say_of_a_customer() -> None:
    both = Customer("4915112345678", "US.1", "una")
    assert both.contact() == {
        "profile": {"name": both.name, "username": "una"},
        "wa_id": "4915112345678",
        "user_id": "US.1",
    }
    assert both.sender() == {"from": "4915112345678", "from_user_id": "US.1"}
    hides = Customer(user_id="US.1")
    assert hides.contact() == {"profile": {"name": hides.name}, "user_id": "US.1"}
    assert hides.sender() == {"from_user_id": "US.1"}
    assert Customer("4915112345678").sender() == {"from": "4915112345678"}


def test_a_share_hides_the_number() -> None:
    numbers = [f"1555{n:07d}" for n in range(1000)]
    assert not any(hidden(number, 0) for number in numbers)
    assert all(hidden(number, 1) for number in numbers)
    assert 150 < sum(hidden(number, 0.2) for number in numbers) < 250
    ids = {hiding(number).user_id or "" for number in numbers}
    assert len(ids) == 1000
    assert all(re.match(USER_ID, user_id) for user_id in ids)
    assert {len(user_id) for user_id in ids} == {21, 23, 43, 131}


def test_the_book_knows_who_has_a_user_id() -> None:
    book = CustomerBook()
    assert book.learn(Customer("1555")) == Customer("1555")
    assert len(book) == 0
    book.learn(Customer("1555", "US.1", "una"))
    assert book.find("1555").user_id == "US.1"
    assert book.find("US.1").wa_id == "1555"
    assert book.learn(Customer("1555")) == Customer("1555", "US.1", "una")
    # Who shows only the user id has hidden the number now.
    assert book.learn(Customer(user_id="US.1")).wa_id is None
    assert book.find("49") == Customer("49")
    assert book.find("US.2") == Customer(user_id="US.2")


def test_addresses_change() -> None:
    book = CustomerBook()
    book.learn(Customer("1555", "US.1"))
    book.replace(Customer("1555", "US.1"), Customer("1555", "US.2"))
    assert book.is_gone("US.1")
    assert not book.is_gone("1555")
    assert book.find("1555").user_id == "US.2"
    book.replace(Customer("1555", "US.2"), Customer("1556", "US.2"))
    assert book.is_gone("1555")
    # Somebody else gets the number.
    book.learn(Customer("1555", "US.3"))
    assert not book.is_gone("1555")
