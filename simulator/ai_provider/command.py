"""``python -m simulator ai``."""

import click

from simulator.ai_provider.app import SimulatedAi, echo
from simulator.outside.command import serve


@click.command("ai")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 picks a free one.")
@click.option("--api-key", default=None, help="Key that requests must carry. Default: any.")
@click.option(
    "--latency-s",
    type=click.Tuple([click.FloatRange(0), click.FloatRange(0)]),
    default=(0.5, 2.0),
    show_default=True,
    help="Least and most seconds until it answers.",
)
@click.option("--answer", default=None, help="Text of its answers. Default: the question.")
def command(
    host: str, port: int, api_key: str | None, latency_s: tuple[float, float], answer: str | None
) -> None:
    """Run a simulated AI until SIGTERM.

    It answers POST /v1/chat/completions as OpenAI does and POST /api/v1/prediction/ID as Flowise
    does. Prints "listening on URL" when it is ready. Control: GET /_simulator/report,
    GET /_simulator/requests, POST /_simulator/latency {"least": S, "most": S}, and
    POST /_simulator/faults, such as {"kind": "status", "status": 429, "retry_after": "2",
    "times": 10}; kinds: status, hang, reset, slow, broken, empty. DELETE removes the faults.
    """
    if latency_s[0] > latency_s[1]:
        raise click.BadParameter("the least must not be more than the most", param_hint="latency-s")
    reply = echo if answer is None else lambda _text: answer
    serve(SimulatedAi(latency_s, api_key=api_key, reply=reply), host, port)
