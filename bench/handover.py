"""How long a customer's message takes from the webhook to PHP when nothing else goes on.

A real Valkey, sidecar and worker; this process plays Meta, and PHP as far as it is asked for
configuration and takes updates, so that one clock measures both ends.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import click
import orjson
import uvloop
from aiohttp import web

from bench.figures import publish
from bench.webhooks import webhook_body
from contracts import backend as contract
from contracts.cloud_api.webhook import sign
from simulator.embedded import EmbeddedInstallation

VENDOR = "bench-vendor"


class Php:
    """Takes updates and records when each arrived."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self.changed = asyncio.Event()

    async def start(self) -> tuple[web.AppRunner, str]:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post(contract.VENDOR_CONFIG, self.vendor_config)
        app.router.add_post(contract.DUE_CAMPAIGNS, self.due_campaigns)
        app.router.add_post(contract.PROCESS_WEBHOOKS, self.process_webhooks)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        return runner, f"http://{host}:{port}"

    async def vendor_config(self, request: web.Request) -> web.Response:
        vendor_uids = orjson.loads(await request.read())["vendor_uids"]
        return _answer({"vendors": [{"vendor_uid": uid} for uid in vendor_uids]})

    async def due_campaigns(self, request: web.Request) -> web.Response:
        return _answer({"campaigns": []})

    async def process_webhooks(self, request: web.Request) -> web.Response:
        now = time.perf_counter()
        updates = orjson.loads(await request.read())["updates"]
        for update in updates:
            value = update["payload"]["entry"][0]["changes"][0]["value"]
            for message in value.get("messages", []):
                self.arrived[message["id"]] = now
        self.changed.set()
        return _answer({"results": [{"id": u["id"], "result": "done"} for u in updates]})


def _answer(value: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


async def measure(folder: Path, messages: int) -> dict[str, Any]:
    php = Php()
    runner, url = await php.start()
    with EmbeddedInstallation(folder) as installation:
        await asyncio.to_thread(installation.start_redis)
        installation.configure(backend_url=url)
        sidecar = await asyncio.to_thread(installation.start_sidecar)
        worker = await asyncio.to_thread(installation.start_worker)
        async with aiohttp.ClientSession() as session:
            took = [await _idle(session, sidecar.url, php, n) for n in range(messages + 5)][5:]
        idle_started, cpu = time.perf_counter(), worker.cpu_s() + sidecar.cpu_s()
        await asyncio.sleep(5)
        idle = (worker.cpu_s() + sidecar.cpu_s() - cpu) / (time.perf_counter() - idle_started)
    await runner.cleanup()
    took.sort()
    return {
        "messages": messages,
        "p50_ms": round(statistics.median(took) * 1000, 1),
        "p95_ms": round(took[int(len(took) * 0.95)] * 1000, 1),
        "max_ms": round(took[-1] * 1000, 1),
        "idle_cpu_percent": round(idle * 100, 1),
    }


async def hand_over(session: aiohttp.ClientSession, url: str, php: Php, number: int) -> float:
    """Send a customer's message, and return how long it took to PHP, in seconds."""
    body = webhook_body(number * 10)
    wamid = orjson.loads(body)["entry"][0]["changes"][0]["value"]["messages"][0]["id"]
    headers = {"X-Hub-Signature-256": sign(EmbeddedInstallation.APP_SECRET.encode(), body)}
    started = time.perf_counter()
    async with session.post(f"{url}/webhook/{VENDOR}", data=body, headers=headers) as response:
        assert response.status == 200, response.status
    async with asyncio.timeout(20):
        while wamid not in php.arrived:
            php.changed.clear()
            await php.changed.wait()
    return php.arrived[wamid] - started


async def _idle(session: aiohttp.ClientSession, url: str, php: Php, number: int) -> float:
    took = await hand_over(session, url, php, number)
    # Long enough for the worker to have gone idle again, and not in step with its polling.
    await asyncio.sleep(0.2 + 0.013 * (number % 7))
    return took


@click.command()
@click.option("--messages", default=50, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
def main(messages: int, json_file: Path | None) -> None:
    """Measure the time from a webhook to PHP on an idle installation."""
    with tempfile.TemporaryDirectory() as folder:
        figures = uvloop.run(measure(Path(folder), messages))
    publish(figures, json_file)


if __name__ == "__main__":
    main()
