"""Campaigns that meet an outage of the Cloud API: ``make outages``, or ``python -m simulator
outages``.

A campaign is sent by real processes at a steady rate. In the middle of it the Cloud API fails in
one shape for some time, and afterwards what was lost, doubled or held up is counted, and how soon
``sidecar status`` and ``GET /metrics`` told of it. The way to the Cloud API is a proxy that gives
its answers the latency that Meta's have; closed, it is the shape ``refused``.
"""
