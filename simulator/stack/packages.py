"""What the stack needs of this machine."""

import os
import shutil
import subprocess
from functools import cache

#: Where Debian puts servers, which is not in everybody's path.
_FOLDERS = (*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin")

_PROGRAMS = ("mariadbd", "mariadb-install-db", "nginx", "php", "php-fpm8.2")

_PHP = "require 'Illuminate/autoload.php'; foreach (['pdo_mysql', 'mbstring', 'curl'] as $name)"
_PHP += " extension_loaded($name) || exit(1);"


def find(name: str) -> str | None:
    """Return the path of a program, or None where there is none."""
    return shutil.which(name, path=os.pathsep.join(_FOLDERS))


def program(name: str) -> str:
    """Return the path of one of the programs that :func:`missing` has not named."""
    found = find(name)
    if found is None:
        raise FileNotFoundError(f"there is no {name}; run scripts/install-stack as root")
    return found


@cache
def missing() -> list[str]:
    """Return what is missing on this machine; nothing if the stack can be started."""
    lacking = [name for name in _PROGRAMS if find(name) is None]
    if "php" not in lacking:
        php = [program("php"), "-d", "error_reporting=0", "-r", _PHP]
        if subprocess.run(php, capture_output=True, check=False).returncode != 0:
            lacking.append(
                "php-laravel-framework or one of PHP's extensions mysql, mbstring and curl"
            )
    return lacking
