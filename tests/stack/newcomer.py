"""Somebody who follows README's section "Install" on a server of their own."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from sidecar.commands.setup.answers import this_program
from simulator.ports import free_ports
from simulator.processes import Process, python
from simulator.stack.application import APPLICATION, Application
from simulator.stack.installation import StackInstallation
from simulator.stack.nginx import Nginx
from simulator.stack.packages import MYSQL, database_server, program
from simulator.stack.sql_server import DATABASE

ROOT = Path(__file__).parents[2]

#: nginx as Debian ships it, but for its user and its folders.
_NGINX = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include conf.d/*.conf;
}}
"""


def install_commands() -> list[str]:
    """Return the lines of README's section from the clone on."""
    section = (ROOT / "README.md").read_text().partition("\n## Install\n")[2].partition("\n## ")[0]
    [_, block] = re.findall(r"```sh\n(.*?)```", section, re.S)
    return [line for line in block.splitlines() if line]


class Newcomer:
    """A server with the reference application, of which the sidecar knows nothing yet. MariaDB,
    Redis and the Cloud API are ``installation``'s; PHP-FPM, nginx, the sidecar and the worker are
    started by what is typed."""

    def __init__(self, folder: Path, installation: StackInstallation) -> None:
        self._folder = folder
        self._installation = installation
        self._assigned: list[str] = []
        self._port, public, self._internal = free_ports(3)
        for name in ("bin", "conf/conf.d", "units", "checkout", "app"):
            (folder / name).mkdir(parents=True)
        for name in ("contracts", "nginx"):
            (folder / "checkout" / name).symlink_to(ROOT / name)
        (folder / "app" / "public").symlink_to(APPLICATION / "public")
        known = installation.application.variables.items()
        self._host = {k: v for k, v in known if not k.startswith("WHATSAPP_SIDECAR_")}
        self.php = Application(folder / "php", self._host, workers=2)
        self.nginx = Nginx(
            folder / "conf", sidecar="", php="", ports=(public, self._internal), root=APPLICATION
        )
        self._write_nginx()
        self._write_programs()

    def start(self) -> None:
        """Start what is there before the sidecar is."""
        self._installation.add(self.php)

    # -- what is typed --

    def run(self, line: str, **variables: str) -> str:
        """Execute a line in the checkout, and return its output."""
        if re.fullmatch(r"\w+=\S+( +#.*)?", line):
            self._assigned.append(self._here(line))
            return ""
        before = self._env()
        script = "\n".join([*self._assigned, self._here(line)])
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self._folder / "checkout",
            env={**self._environment(), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        if self._env() != before:
            self._restart_php()
        for request in self._requests():
            self._systemctl(*request)
        return done.stdout

    def switch_console_on(self) -> None:
        """Serve the console on this side and nginx's, as docs/operations.md says."""
        with (self._folder / "checkout" / "sidecar.toml").open("a") as settings:
            settings.write("console = true\n")
        self.run(
            "sed -i 's/#include sidecar.console/include sidecar\\/console/' /etc/nginx/conf.d/*"
        )
        self.run("nginx -t && systemctl reload nginx")
        self._installation.processes["sidecar"].stop()
        self._installation.start("sidecar")

    def _here(self, line: str) -> str:
        for there, here in (
            ("/var/www/whatsapp", "app"),
            ("/etc/nginx", "conf"),
            ("/etc/systemd/system", "units"),
        ):
            line = line.replace(there, str(self._folder / here))
        return line

    def _environment(self) -> dict[str, str]:
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("SIDECAR_")},
            "PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "SIDECAR_CLOUD_API_URL": self._installation.environment["SIDECAR_CLOUD_API_URL"],
            # No cron runs here that would have to finish.
            "SIDECAR_CRON_SETTLE_S": "0",
        }

    # -- the programs --

    def _write_programs(self) -> None:
        folder = self._folder
        secret = folder / "app-secret"
        secret.touch(mode=0o600)
        secret.write_text(StackInstallation.APP_SECRET)
        answers = [
            *("--php-url", f"http://127.0.0.1:{self._internal}", "--public-url", self.nginx.url),
            *("--php-fpm", f"unix:{self.php.socket}", "--port", str(self._port)),
            *("--redis-url", self._installation.redis_url, "--app-secret-file", str(secret)),
        ]
        files = (
            f"-p {self.nginx.folder} -e {self.nginx.error_log} -c {self.nginx.folder}/nginx.conf"
        )
        client = "mysql" if database_server() is MYSQL else "mariadb"
        mysql = f"{program(client)} --no-defaults --user=root"
        sidecar = f"exec {sys.executable} -m sidecar.commands.main"
        init = f'[ "$1" != init ] || {sidecar} "$@" {shlex.join(answers)}'
        self._put("sidecar", init, f'{sidecar} "$@"')
        self._put("mysql", f"exec {mysql} --socket={self._installation.mariadb.socket} {DATABASE}")
        self._put("systemctl", f'echo "$@" >> {folder / "requests"}', "exit 0")
        self._put("useradd", "exit 0")
        self._put("php", '[ "$*" = "artisan config:clear" ]')
        self._put(
            "composer", '[ "$1" = config ] || test -f packages/whatsapp-sidecar/composer.json'
        )
        places = f"s#/var/l[io][bg]/nginx/#{self.nginx.folder}/#"
        self._put(
            "nginx",
            f"sed -i '{places}' {self.nginx.folder}/*/*.conf",
            f'exec {program("nginx")} {files} "$@"',
        )

    def _put(self, name: str, *lines: str) -> None:
        path = self._folder / "bin" / name
        path.write_text("\n".join(("#!/bin/sh", *lines, "")))
        path.chmod(0o700)

    def _write_nginx(self) -> None:
        user = "user root;" if os.geteuid() == 0 else ""
        text = _NGINX.format(folder=self.nginx.folder, user=user)
        (self.nginx.folder / "nginx.conf").write_text(text)

    # -- what the server does --

    def _env(self) -> dict[str, str]:
        """Return what the application's ``.env`` says."""
        path = self._folder / "app" / ".env"
        text = path.read_text() if path.exists() else ""
        return {k: v.strip('"') for k, v in re.findall(r"(?m)^(\w+)=(.*)$", text)}

    def _restart_php(self) -> None:
        """PHP reads ``.env`` with each request; the reference application, its environment."""
        self.php.stop()
        self.php.variables = {**self.php.variables, **self._env()}
        self.php.start()

    def _requests(self) -> list[list[str]]:
        path = self._folder / "requests"
        text = path.read_text() if path.exists() else ""
        path.unlink(missing_ok=True)
        return [line.split() for line in text.splitlines()]

    def _systemctl(self, verb: str, *units: str) -> None:
        match verb, units:
            case "reload", ("nginx",) if self.nginx.running:
                os.kill(self.nginx.pid, signal.SIGHUP)
            case "reload", ("nginx",):
                self._installation.add(self.nginx)
            case "enable", ("--now", *names):
                for name in names:
                    self._start(name)
            case _:
                assert verb == "daemon-reload", (verb, units)

    def _start(self, name: str) -> None:
        """Start a service as its unit says, as root."""
        text = (self._folder / "units" / f"{name}.service").read_text()
        unit = dict(re.findall(r"(?m)^(\w+)=(.*)$", text))
        assert unit["Environment"] == "SIDECAR_CONFIG=%d/sidecar.toml"
        credential = unit["LoadCredential"].removeprefix("sidecar.toml:")
        program_, *arguments = unit["ExecStart"].split()
        assert program_ == str(this_program())
        self._installation.add(
            Process(
                name,
                python("sidecar.commands.main", *arguments),
                self._folder / f"{name}.log",
                environment={**self._environment(), "SIDECAR_CONFIG": credential},
            )
        )
