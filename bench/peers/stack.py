"""The stack without the sidecar: PHP does all of its vendors' work."""

from collections import Counter
from pathlib import Path

from bench.peers.nginx import PeerNginx
from bench.stacks import PRODUCTION, Stack
from simulator.processes import Process
from simulator.stack.application import APPLICATION

#: The host's own webhook route and routine, and nothing that is the sidecar's.
_PHP = {
    "WHATSAPP_SIDECAR_VENDORS": "none",
    "WHATSAPP_SIDECAR_BOTS": "none",
    "WHATSAPP_SIDECAR_FALLBACK_ROUTE": "false",
    "WHATSAPP_WEBHOOK_ROUTE": "true",
}


class PeerStack(Stack):
    """``php`` is what PHP sees besides; ``receiver`` the port of what takes webhooks, if it is not
    PHP."""

    def __init__(self, folder: Path, php: dict[str, str], receiver: int | None = None) -> None:
        super().__init__(folder, php=_PHP | php, host=PRODUCTION)
        self._nginx = PeerNginx(
            folder / "nginx", self.application.socket, APPLICATION / "public", receiver
        )

    def start_backend(self) -> Process:
        self.add(self.mariadb)
        self.add(self.application)
        return self.add(self._nginx)

    def start_cloud_api(self, *arguments: str) -> Process:
        cloud_api = super().start_cloud_api(*arguments)
        # PHP has its address when it starts.
        self.restart(self.application.name)
        return cloud_api

    def webhook_url(self, vendor_uid: str) -> str:
        return f"{self._nginx.url}/whatsapp-webhook/{vendor_uid}"

    def backend_requests(self) -> Counter[str]:
        return Counter(line["path"].split("/")[1] for line in self._nginx.internal_requests())
