"""The settings name who is told."""

from sidecar.notify.mail import MailTarget
from sidecar.notify.posts import PostTarget
from sidecar.notify.targets import make_targets
from sidecar.ops.notifications import configured
from tests.conftest import MakeSettings


async def test_nobody(make_settings: MakeSettings) -> None:
    assert make_targets(make_settings()) == {}


async def test_everybody(make_settings: MakeSettings) -> None:
    settings = make_settings(
        notify_webhook_url="http://10.0.0.7:8080/x?y=z",
        notify_webhook_keys="n:0123456789abcdef,old:0123456789abcdef",
        notify_slack_url="https://hooks.example.com/T0/secret",
        notify_email_to="ops@example.com, boss@example.com",
        notify_smtp_user="me",
        notify_smtp_password="hush",
    )
    targets = make_targets(settings)
    assert list(targets) == configured(settings)
    assert [type(one) for one in targets.values()] == [PostTarget, PostTarget, MailTarget]
    assert "hush" not in repr(settings)
    assert "T0/secret" not in repr(settings)
    for target in targets.values():
        await target.close()


async def test_a_mail_server_without_a_password(make_settings: MakeSettings) -> None:
    assert list(make_targets(make_settings(notify_email_to="ops@example.com"))) == ["email"]
