"""The stack in containers: every service is watched, limited and bound, and what it names exists.

No container engine runs these tests: they look at what the file says. `make compose-test` runs it.
"""

import re
from typing import Any

import pytest

from contracts.jobs import Queue
from tests.deploy import compose
from tests.deploy.files import DEPLOY, ROOT, assert_command, load_settings, read_environment

SERVICES = compose.services()
SIDECARS = {name: service for name, service in SERVICES.items() if "sidecar" in service["image"]}
SECRETS = {
    "SIDECAR_SIGNING_KEYS": "first:0123456789abcdef",
    "SIDECAR_APP_SECRETS": "an-app-secret",
    "APP_KEY": "base64:a-key",
    "DB_PASSWORD": "a-password",
    "DB_ROOT_PASSWORD": "another-password",
    "REDIS_PASSWORD": "a-third-password",
    "GRAFANA_PASSWORD": "one-more-password",
}


def test_the_whole_stack_is_there() -> None:
    workers = {f"worker-{queue}" for queue in Queue}
    others = {"nginx", "sidecar", "php", "mariadb", "redis", "prometheus", "grafana"}
    assert SERVICES.keys() == others | workers


@pytest.mark.parametrize("name", SERVICES)
def test_every_service(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"] == {"core": 0}
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    check = service["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert compose.seconds(check["timeout"]) < compose.seconds(check["interval"])
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert image
    assert re.match(r"v?\d+\.\d+\.\d+", tag)


def test_our_images_have_the_projects_version() -> None:
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert project is not None
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert {image.rpartition(":")[2] for image in built} == {project[1]}
    assert len(built) == 3


def test_only_nginx_is_reached_from_outside() -> None:
    assert {name: s["ports"] for name, s in SERVICES.items() if "ports" in s} == {
        "nginx": ["80:8080"],
        "grafana": ["127.0.0.1:3000:3000"],
    }
    assert compose.load()["networks"]["data"] == {"internal": True}
    for name in ("mariadb", "redis"):
        assert SERVICES[name]["networks"] == ["data"]


def test_what_is_named_exists() -> None:
    whole = compose.load()
    for name, service in SERVICES.items():
        assert set(service["networks"]) <= whole["networks"].keys(), name
        assert set(service.get("depends_on", ())) <= SERVICES.keys(), name
        for volume in service.get("volumes", ()):
            source, target, *mode = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                # The tables and indexes come with the Laravel package and its application.
                assert (ROOT / source).is_file(), source
                assert mode == ["ro"]
            else:
                assert source in whole["volumes"], name
        if build := service.get("build"):
            assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    used = {v.partition(":")[0] for s in SERVICES.values() for v in s.get("volumes", ())}
    assert whole["volumes"].keys() <= used


def test_dependencies_are_waited_for_until_they_are_healthy() -> None:
    for service in SERVICES.values():
        for condition in service.get("depends_on", {}).values():
            assert condition == {"condition": "service_healthy"}


def test_there_is_no_secret_in_the_file() -> None:
    example = read_environment(DEPLOY / "docker" / "env.example")
    assert set(compose.variables(compose.load())) == example.keys() == SECRETS.keys()
    assert not any(example.values())
    words = ("PASSWORD", "SECRET", "KEY")
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if any(word in name for word in words):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name


@pytest.mark.parametrize("name", SIDECARS)
def test_the_sidecar_takes_its_commands_and_settings(
    name: str, own_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = SIDECARS[name]
    assert_command(service["command"])
    check: list[str] = service["healthcheck"]["test"]
    if check[1] == "sidecar":
        assert_command(check[2:])
    settings = load_settings(compose.filled(service["environment"], SECRETS), monkeypatch)
    assert settings.redis_url is not None
    assert compose.seconds(service["stop_grace_period"]) > settings.shutdown_timeout_s


def test_the_health_check_asks_what_the_sidecar_has() -> None:
    from contracts.sidecar_api import READYZ

    service = SERVICES["sidecar"]
    port = service["environment"]["SIDECAR_PORT"]
    assert f"127.0.0.1:{port}{READYZ}" in service["healthcheck"]["test"][-1]


def test_every_queue_has_a_worker() -> None:
    commands = [service["command"] for service in SIDECARS.values()]
    assert sorted(commands) == sorted([["serve"], *(["worker", queue.value] for queue in Queue)])


def test_redis_keeps_what_was_acknowledged() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    limit = SERVICES["redis"]["deploy"]["resources"]["limits"]["memory"]
    assert compose.size(options["--maxmemory"]) * 2 <= compose.size(limit)
    assert "redis:/data" in SERVICES["redis"]["volumes"]


def test_redis_lets_in_who_has_the_password(
    own_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = SERVICES["redis"]["command"]
    password = command[command.index("--requirepass") + 1]
    assert list(compose.variables(password)) == ["REDIS_PASSWORD"]
    assert SERVICES["redis"]["environment"]["REDISCLI_AUTH"] == password
    for service in SIDECARS.values():
        settings = load_settings(compose.filled(service["environment"], SECRETS), monkeypatch)
        assert settings.redis_url == f"redis://:{SECRETS['REDIS_PASSWORD']}@redis:6379/0"


def test_bodies_have_places_of_their_own() -> None:
    """Each folder that nginx puts bodies into is a mount of its own, and memory suffices."""
    service = SERVICES["nginx"]
    mounts = dict(mount.split(":", 1) for mount in service["tmpfs"])
    for folder in ("webhooks", "internal"):
        assert "size=256m" in mounts[f"/var/lib/nginx/{folder}"]
        # podman knows neither uid nor gid of a tmpfs, and there is no other user.
        assert "mode=1777" in mounts[f"/var/lib/nginx/{folder}"]
    assert service["user"] == "33:33"
    assert service["volumes"] == ["nginx:/var/lib/nginx/files"]
    held = sum(compose.size(re.findall(r"size=(\w+)", options)[0]) for options in mounts.values())
    assert held * 1.8 < compose.size(service["deploy"]["resources"]["limits"]["memory"])
    config = (DEPLOY / "docker" / "nginx.conf").read_text()
    for name in ("client_body", "proxy", "fastcgi"):
        assert f"{name}_temp_path /var/lib/nginx/files/" in config
    made = (DEPLOY / "docker" / "nginx.Dockerfile").read_text()
    shipped = [path.read_text() for path in (ROOT / "nginx" / "sidecar").glob("*.conf")]
    folders = set(re.findall(r"client_body_temp_path (\S+);", "".join(shipped)))
    assert folders == {mount for mount in mounts if mount != "/tmp"}
    assert all(folder in made for folder in (*folders, "/var/lib/nginx/files"))


def test_php_and_the_sidecar_know_the_same_keys() -> None:
    php: dict[str, Any] = SERVICES["php"]["environment"]
    ours: dict[str, Any] = SERVICES["sidecar"]["environment"]
    assert php["WHATSAPP_SIDECAR_KEYS"] == ours["SIDECAR_SIGNING_KEYS"]
    assert php["WHATSAPP_SIDECAR_APP_SECRETS"] == ours["SIDECAR_APP_SECRETS"]
    assert php["DB_PASSWORD"] == SERVICES["mariadb"]["environment"]["MARIADB_PASSWORD"]
    address = SERVICES["sidecar"]["networks"]["stack"]["ipv4_address"]
    assert php["WHATSAPP_SIDECAR_URL"] == f"http://{address}:{ours['SIDECAR_PORT']}"


def test_php_reads_the_media_that_the_sidecar_fetches() -> None:
    worker, php = SERVICES["worker-effects"], SERVICES["php"]
    folder = worker["environment"]["SIDECAR_MEDIA_DIR"]
    assert php["environment"]["WHATSAPP_SIDECAR_MEDIA_DIR"] == folder
    mounted = {name for name, s in SERVICES.items() if f"media:{folder}" in s.get("volumes", ())}
    assert mounted == {"worker-effects", "php"}
    _, group = worker["user"].split(":")
    assert php["group_add"] == [group]
    for image in ("sidecar", "php"):
        files = [DEPLOY / "docker" / name for name in (f"{image}.Dockerfile", f"{image}-root")]
        made = "".join(file.read_text() for file in files if file.exists())
        assert re.search(rf"""install -d .* -m 2770 ("\$root)?{folder}""", made)
