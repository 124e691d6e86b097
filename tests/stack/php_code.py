"""PHP code that runs in the reference application."""

import os
import subprocess
from collections.abc import Mapping
from typing import Any

import orjson

from simulator.stack.application import APPLICATION, Application
from simulator.stack.packages import program

#: The package's facade.
SIDECAR = "WhatsappSidecar\\Laravel\\Facades\\Sidecar"

_BOOT = f"""
$app = require '{APPLICATION}/bootstrap/app.php';
$app->make(Illuminate\\Contracts\\Http\\Kernel::class)->bootstrap();
"""


def run_php(
    application: Application,
    code: str,
    environment: Mapping[str, str] | None = None,
    *,
    web: bool = True,
) -> Any:
    """Run code and return what it returns, as JSON carries it. ``web``: as if in a web request,
    which ends after the code; else as on the command line."""
    console = "false" if web else "true"
    script = f"{_BOOT} $answer = (function () use ($app) {{ {code} }})(); $app->terminate();"
    done = subprocess.run(
        [program("php"), "-r", f'{script} echo "\\n" . json_encode($answer);'],
        env={
            **os.environ,
            **application.variables,
            "APP_RUNNING_IN_CONSOLE": console,
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return orjson.loads(done.stdout.splitlines()[-1])


def vendor_config(
    application: Application, vendor_uid: str, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the package answers about a vendor with these variables."""
    action = "WhatsappSidecar\\Laravel\\Actions\\ReadVendorConfig"
    body = f'{{"vendor_uids": ["{vendor_uid}"]}}'
    code = f"return $app->make({action}::class)->handle('{body}');"
    answer: dict[str, Any] = run_php(application, code, environment)
    return answer
