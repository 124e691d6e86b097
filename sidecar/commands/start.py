"""How a command begins."""

import click

from sidecar import logs
from sidecar.settings import InvalidSettings, Settings


def load_settings(process: str) -> Settings:
    """Return the settings, with logging set up by them; or end with one line that says what is
    wrong."""
    try:
        settings = Settings.load()
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from None
    logs.configure(settings.log_level, settings.log_format, process)
    return settings
