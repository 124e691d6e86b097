"""Running commands with a PHP side that is not there."""

from click.testing import CliRunner, Result

from sidecar.commands.main import main
from tests import trust

SETTINGS = {
    "SIDECAR_BACKEND_URL": "http://127.0.0.1:9",
    "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
}


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env={**SETTINGS, **environment})
