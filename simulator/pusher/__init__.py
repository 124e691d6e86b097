"""A server that speaks Pusher's HTTP API: ``POST /apps/{id}/events`` and ``/batch_events``.

In process::

    async with simulating_pusher() as pusher:
        pusher.url, pusher.app_id, pusher.key, pusher.secret
                                                   # as VendorConfig.broadcaster has them
        pusher.faults.add("status", status=429, retry_after="1", times=2)
        pusher.events                              # what was triggered, oldest first

Signatures are checked, and the limits that Pusher documents hold: 100 channels an event, 10 events
a batch, 10 kB of data an event (413). Sources:
https://pusher.com/docs/channels/library_auth_reference/rest-api/.
As a command: ``python -m simulator pusher``, with the control endpoints of
:mod:`simulator.outside`.
"""

from simulator.pusher.app import Pusher, simulating_pusher
from simulator.pusher.events import Triggered

__all__ = ["Pusher", "Triggered", "simulating_pusher"]
