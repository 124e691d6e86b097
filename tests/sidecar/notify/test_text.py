"""What people read."""

from contracts.notifications import News
from sidecar.notify.text import body, title
from tests.sidecar.notify.told import make_item, make_notification


def test_one_problem() -> None:
    one = make_notification()
    assert title(one) == "shop: 1 problem. Redis is full"
    assert body(one) == (
        "PROBLEM: Redis is full.\n"
        "What to do: Empty it.\n"
        "Since 2025-06-15 15:06:40Z. [redis-full] docs/runbooks.md#redis-full"
    )


def test_several() -> None:
    items = [make_item(News.PROBLEM), make_item(News.PROBLEM), make_item(News.OVER)]
    many = make_notification(*items, make_item(News.WORSE)).model_copy(update={"more": 1200})
    assert title(many) == "shop: 2 problems, 1 got worse, 1 over."
    assert "Over: Redis is full.\nIt had begun 2025-06-15 15:06:40Z. [redis-full]" in body(many)
    assert "WORSE: Redis is full.\nWhat to do: Empty it." in body(many)
    assert body(many).endswith("And 1,200 more: sidecar status says all.")


def test_a_title_is_one_line() -> None:
    one = make_notification(make_item(what="a\r\nBcc: everybody"))
    assert title(one) == "shop: 1 problem. a Bcc: everybody"


def test_a_test_says_only_that() -> None:
    one = make_notification(make_item(News.TEST, what="Somebody tests"))
    assert body(one) == "Test: Somebody tests."
    assert title(one) == "shop: 1 test. Somebody tests"
