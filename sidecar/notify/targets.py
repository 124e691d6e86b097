"""The targets that the settings name."""

from sidecar.notify.mail import MailTarget, Server
from sidecar.notify.posts import PostTarget, signed, slack
from sidecar.notify.target import Target
from sidecar.ops.notifications import EMAIL, SLACK, WEBHOOK
from sidecar.settings import Settings


def make_targets(settings: Settings) -> dict[str, Target]:
    """Return them by their names; none if nobody is to be told."""
    targets: dict[str, Target] = {}
    if settings.notify_webhook_url is not None:
        assert settings.notify_webhook_keys, "the settings were checked"
        url = settings.notify_webhook_url.get_secret_value()
        key_id, secret = next(iter(settings.notify_webhook_keys.items()))
        make = signed(url, key_id, secret.get_secret_value().encode())
        targets[WEBHOOK] = PostTarget(url, make)
    if settings.notify_slack_url is not None:
        targets[SLACK] = PostTarget(settings.notify_slack_url.get_secret_value(), slack)
    if settings.notify_email_to:
        password = settings.notify_smtp_password
        server = Server(
            settings.notify_smtp_host,
            settings.notify_smtp_port,
            settings.notify_smtp_security,
            settings.notify_smtp_user,
            "" if password is None else password.get_secret_value(),
        )
        targets[EMAIL] = MailTarget(server, settings.notify_email_from, settings.notify_email_to)
    return targets
