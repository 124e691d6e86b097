"""An AI that answers by OpenAI's chat completions (``POST /v1/chat/completions``) and as a Flowise
flow (``POST /api/v1/prediction/{id}``), after as long as it is told to take.

In process::

    async with simulating_ai(latency_s=30.0) as ai:
        ai.openai_url, ai.flowise_url("flow")      # as VendorConfig.ai_providers has them
        ai.faults.add("status", status=429, retry_after="2", times=3)
        ai.latency_s = (0.1, 0.5)                  # from now on
        ai.requests, ai.traffic.most_open          # what has been asked

As a command: ``python -m simulator ai`` (``sidecar simulate ai``), with the control endpoints of
:mod:`simulator.outside` and ``POST /_simulator/latency {"least": s, "most": s}``.

Shapes: https://platform.openai.com/docs/api-reference/chat and
https://docs.flowiseai.com/api-reference/prediction.
"""

from simulator.ai_provider.app import Question, SimulatedAi, simulating_ai

__all__ = ["Question", "SimulatedAi", "simulating_ai"]
