"""What the simulated servers outside have in common: faults on demand, counts, and control.

The servers are :mod:`simulator.ai_provider`, :mod:`simulator.vendor_webhook` and
:mod:`simulator.pusher`. Each is used in process, as a context manager of its own module, or as a
command. Beside its API each answers, unsigned:

- ``GET /_simulator/report``: counts (:class:`simulator.outside.traffic.Traffic`);
- ``GET /_simulator/requests``: what has taken effect, oldest first;
- ``GET``, ``POST`` and ``DELETE /_simulator/faults``: faults on demand
  (:class:`simulator.outside.faults.Fault`).
"""
