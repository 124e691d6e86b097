"""A group of servers of which three Sentinels watch the primary, each a real process.

Two servers are up: the primary and its replica. A third is for when one of them is lost. Clients,
Sentinels and replicas are users of their own, so that a primary can be cut off from the latter two
and still answer the first.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import redis

from simulator.ports import free_ports
from simulator.processes import Process, ProcessFailed
from simulator.redis_server import RedisServer, answers, redis_program

SERVICE = "mymaster"
PASSWORD = "group-password"
#: A primary that says nothing for so long is down, as far as a Sentinel can tell. On a busy machine
#: one says nothing for a second or two.
DOWN_AFTER_MS = 3000
#: Whatever the group does by itself, it does in this time.
PATIENCE_S = 60.0
_SERVERS, _SENTINELS, _QUORUM = 3, 3, 2
_POLL_S = 0.02

#: Those to whom a primary is closed when it is cut off.
_PEERS = ("sentinel", "replica")
_OPTIONS = (
    *(f"--user {peer} on >{PASSWORD} ~* &* +@all".split() for peer in _PEERS),
    ("--masteruser", "replica", "--masterauth", PASSWORD),
    ("--repl-diskless-sync-delay", "0"),
)
#: What a Sentinel does every ten seconds, it does each second here; and a busy machine is not taken
#: for one whose clock has jumped.
_HASTE = {
    "info-period": 1000,
    "ask-period": 250,
    "publish-period": 500,
    "min-link-reconnect-period": 500,
    "tilt-trigger": 60_000,
}
_SENTINEL_CONF = """
port {port}
bind 127.0.0.1
dir {folder}
requirepass {password}
sentinel sentinel-pass {password}
sentinel monitor {service} 127.0.0.1 {primary} {quorum}
sentinel auth-user {service} sentinel
sentinel auth-pass {service} {password}
sentinel down-after-milliseconds {service} {down_after_ms}
sentinel failover-timeout {service} 3000
"""


class _Sentinel(Process):
    def __init__(self, folder: Path, name: str, program: str, primary: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        [port] = free_ports(1)
        file = folder / "sentinel.conf"
        file.write_text(
            _SENTINEL_CONF.format(
                port=port,
                folder=folder,
                password=PASSWORD,
                service=SERVICE,
                primary=primary,
                quorum=_QUORUM,
                down_after_ms=DOWN_AFTER_MS,
            )
        )
        command = [program, str(file), "--sentinel"]
        super().__init__(name, command, folder / "sentinel.log", port=port)

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        return answers(self.url, self.pid)

    def ask(self, *words: object) -> Any:
        with redis.Redis.from_url(self.url, socket_timeout=5.0, protocol=2) as client:
            return client.execute_command(*words)


class RedisGroup:
    """Use as a context manager. ``program`` is a redis-server; without one it is the embedded
    Valkey. ``environments`` are those of servers, by their names ``redis-1`` to ``redis-3``."""

    def __init__(
        self,
        folder: Path,
        *,
        program: str | None = None,
        environments: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._folder = folder
        self._program = program
        options = [word for words in _OPTIONS for word in words]
        self.servers = {
            name: RedisServer(
                folder / name, program=program, name=name, password=PASSWORD, options=options
            )
            for name in (f"redis-{number}" for number in range(1, _SERVERS + 1))
        }
        for name, environment in (environments or {}).items():
            self.servers[name].environment |= environment
        self._commands = {name: server.command for name, server in self.servers.items()}
        self.sentinels: list[_Sentinel] = []
        self._up: dict[str, Process] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            first, *_ = self.servers.values()
            self._start(first, stack)
            for number in range(1, _SENTINELS + 1):
                name = f"sentinel-{number}"
                program = redis_program(self._program)
                sentinel = _Sentinel(self._folder / name, name, program, first.port)
                self._start(sentinel, stack)
                for what, value in _HASTE.items():
                    sentinel.ask("SENTINEL", "DEBUG", what, value)
                self.sentinels.append(sentinel)
            self._stack = stack.pop_all()
        self._eventually(self._know_each_other)
        self.add_replica()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _start(self, process: Process, stack: ExitStack) -> None:
        stack.callback(process.stop)
        process.start()
        self._up[process.name] = process

    @property
    def url(self) -> str:
        """The address of database 0 for the sidecar."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"sentinel://:{PASSWORD}@{hosts}/{SERVICE}/0?sentinel_password={PASSWORD}"

    def ended(self) -> list[str]:
        """Return what should be up and is not."""
        return [name for name, process in self._up.items() if not process.running]

    def client(self, server: RedisServer, database: int = 0) -> "redis.Redis":
        """Return a client for those who look from outside."""
        return redis.Redis(
            port=server.port, password=PASSWORD, db=database, socket_timeout=10.0, protocol=2
        )

    # -- who is what --

    @property
    def primary(self) -> RedisServer:
        """The primary, when the Sentinels agree on one."""
        return self._agreed(lambda port: True)

    def _agreed(self, wanted: Callable[[int], bool]) -> RedisServer:
        named: set[int] = set()

        def agree() -> bool:
            words = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
            named.clear()
            named.update(int(sentinel.ask(*words)[1]) for sentinel in self.sentinels)
            return len(named) == 1 and all(map(wanted, named))

        self._eventually(agree)
        return next(server for server in self.servers.values() if server.port in named)

    def wait_for_failover(self, old: RedisServer) -> RedisServer:
        """Return the primary that has taken this one's place."""
        return self._agreed(lambda port: port != old.port)

    def wait_until_whole(self) -> None:
        """Wait until all servers that are up are the primary or have all that it has, and every
        Sentinel reaches them."""
        self._eventually(lambda: all(map(self._takes_part, self._servers_up())))

    def settle(self) -> None:
        """Wait for the same, and leave the primary one replica."""
        self.wait_until_whole()
        primary = self.primary
        for server in [one for one in self._servers_up() if one is not primary][1:]:
            self.lose(server)

    def _servers_up(self) -> list[RedisServer]:
        return [one for one in self._up.values() if isinstance(one, RedisServer)]

    def _takes_part(self, server: RedisServer) -> bool:
        # On a busy machine it may have become the primary meanwhile.
        primary = self.primary
        return server is primary or self._follows(server, primary)

    def _follows(self, server: RedisServer, primary: RedisServer) -> bool:
        with self.client(server) as client:
            info: Any = client.info("replication")
        follows = (info["role"], info.get("master_port")) == ("slave", primary.port)
        return (
            follows
            and info["master_link_status"] == "up"
            and not info["master_sync_in_progress"]
            and all(server.port in _replicas(sentinel) for sentinel in self.sentinels)
        )

    def _know_each_other(self) -> bool:
        others = [
            len(sentinel.ask("SENTINEL", "SENTINELS", SERVICE)) for sentinel in self.sentinels
        ]
        return others == [_SENTINELS - 1] * _SENTINELS

    # -- what happens to them --

    def lose(self, server: RedisServer) -> None:
        """Kill a server, and throw its disk away."""
        server.kill()
        self._up.pop(server.name, None)
        for left in server.folder.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left.suffix not in (".log", ".out"):
                left.unlink()

    def add_replica(self) -> RedisServer:
        """Have a server that is not up take part, with an empty disk. Return when it has all."""
        name = next(name for name in self.servers if name not in self._up)
        server = self.servers[name]
        follow = ("--replicaof", "127.0.0.1", str(self.primary.port))
        server.command = [*self._commands[name], *follow]
        self._start(server, self._stack)
        self._eventually(lambda: self._takes_part(server))
        return server

    @contextmanager
    def isolated(self, server: RedisServer) -> Iterator[None]:
        """Have neither Sentinels nor replicas reach a server for a block. Clients do."""
        with self.client(server) as client:
            for peer in _PEERS:
                # Not "off": a Sentinel whose AUTH is refused stays connected, and never retries.
                client.execute_command("ACL", "SETUSER", peer, "-@all")
            # What is sent on by itself asks for nothing.
            client.execute_command("CLIENT", "KILL", "USER", "replica")
        try:
            yield
        finally:
            with self.client(server) as client:
                for peer in _PEERS:
                    client.execute_command("ACL", "SETUSER", peer, "+@all")

    @contextmanager
    def hung(self, server: RedisServer) -> Iterator[None]:
        """Have a server stand still for a block."""
        server.suspend()
        try:
            yield
        finally:
            server.resume()

    def describe(self) -> dict[str, Any]:
        """Return what everybody says of everybody."""
        said: dict[str, Any] = {}
        for name, process in self._up.items():
            try:
                if isinstance(process, RedisServer):
                    with self.client(process) as client:
                        said[name] = client.info("replication")
                elif isinstance(process, _Sentinel):
                    said[name] = process.ask("SENTINEL", "REPLICAS", SERVICE)
            except redis.RedisError as error:
                said[name] = str(error)
        return said

    def _eventually(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if holds():
                    return
            except redis.RedisError:
                pass  # it has not started, or loads
            if time.monotonic() > end:
                raise ProcessFailed(
                    f"the group has not come to rest in {PATIENCE_S:.0f} s: {self.describe()}"
                )
            time.sleep(_POLL_S)


def _replicas(sentinel: _Sentinel) -> set[int]:
    """Return the ports of the replicas that a Sentinel reaches."""
    found = set()
    for flat in sentinel.ask("SENTINEL", "REPLICAS", SERVICE):
        words = [word.decode() if isinstance(word, bytes) else word for word in flat]
        fields = dict(zip(words[::2], words[1::2], strict=True))
        if fields["flags"] == "slave" and fields["master-link-status"] == "ok":
            found.add(int(fields["port"]))
    return found
