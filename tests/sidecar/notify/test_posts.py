"""Posts to the operator's own webhook, signed, and to Slack."""

import orjson
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from contracts.notifications import News, Notification
from contracts.signing import Audience, SignatureRefused, Verifier
from sidecar.notify.posts import MAX_TEXT, PostTarget, signed, slack
from sidecar.notify.target import NotTaken
from tests.sidecar.notify.told import make_item, make_notification

SECRET = b"0123456789abcdef"


class Receiver:
    """Keeps what is posted, and answers with a status."""

    def __init__(self, server: HTTPServer) -> None:
        self.status = 204
        self.requests: list[Request] = []
        server.expect_request("/hook").respond_with_handler(self._take)
        self.url = server.url_for("/hook")

    def _take(self, request: Request) -> Response:
        request.get_data()
        self.requests.append(request)
        return Response(status=self.status)


@pytest.fixture
def receiver(httpserver: HTTPServer) -> Receiver:
    return Receiver(httpserver)


async def post(target: PostTarget, notification: Notification) -> None:
    try:
        await target.send(notification)
    finally:
        await target.close()


@pytest.mark.parametrize("query", ["", "?token=a%2Fb%20c"])
async def test_a_webhook_is_signed_over_all_that_arrives(receiver: Receiver, query: str) -> None:
    url = receiver.url + query
    await post(PostTarget(url, signed(url, "ops", SECRET)), make_notification())
    [request] = receiver.requests
    assert Notification.model_validate_json(request.get_data()) == make_notification()
    target = request.environ["RAW_URI"]  # as it came over the wire
    assert bool(query) == ("?" in target)
    headers = dict(request.headers)
    body = request.get_data()
    verifier = Verifier(Audience.NOTIFICATION, {"ops": SECRET})
    assert verifier.verify("POST", target, headers, body).key_id == "ops"
    # What PHP or the sidecar is to take is signed otherwise, even with the same secret.
    for audience in (Audience.SIDECAR, Audience.BACKEND, Audience.CONSOLE):
        with pytest.raises(SignatureRefused):
            Verifier(audience, {"ops": SECRET}).verify("POST", target, headers, body)
    assert request.headers["Content-Type"] == "application/json"


async def test_slack_gets_a_text_that_it_cannot_take_for_more(receiver: Receiver) -> None:
    item = make_item(what="<!channel> A & B")
    await post(PostTarget(receiver.url, slack), make_notification(item))
    [request] = receiver.requests
    text = orjson.loads(request.get_data())["text"]
    assert text.startswith("*shop: 1 problem. &lt;!channel&gt; A &amp; B*\nPROBLEM: ")


def test_a_long_text_is_cut() -> None:
    content, _ = slack(make_notification(*[make_item(News.OVER)] * 50))
    text = orjson.loads(content)["text"]
    assert MAX_TEXT < len(text) < MAX_TEXT + 50
    assert text.endswith("sidecar status says all.")


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500])
async def test_what_is_answered_otherwise_is_not_taken(receiver: Receiver, status: int) -> None:
    receiver.status = status
    target = PostTarget(f"{receiver.url}?token=secret", slack)
    with pytest.raises(NotTaken) as refused:
        await post(target, make_notification())
    assert str(refused.value) == f"localhost answers {status}"


async def test_what_cannot_be_reached_is_said_without_the_url() -> None:
    with pytest.raises(NotTaken) as refused:
        await post(PostTarget("http://127.0.0.1:9/T0/secret", slack), make_notification())
    assert "cannot connect to 127.0.0.1" in str(refused.value)
    assert "secret" not in str(refused.value)
