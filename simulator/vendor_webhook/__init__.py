"""A vendor's own webhook: takes what is forwarded to it, as Meta's webhooks come.

In process::

    async with receiving_forwards(secret="s") as vendor:
        vendor.hook                                # as VendorConfig.forward has its url
        vendor.faults.add("status", status=503, times=2)
        vendor.faults.add("redirect", location=vendor.hook)
        vendor.requests                            # what was taken, oldest first
    vendor.facts                               # which updates that told, and how often
    vendor.repeated                            # those that it told more than once

With a secret a post whose ``X-Hub-Signature-256`` does not fit is answered with 401 and not taken.
As a command: ``python -m simulator vendor-webhook``, with the control endpoints of
:mod:`simulator.outside`.
"""

from simulator.vendor_webhook.app import Forwarded, VendorWebhook, receiving_forwards

__all__ = ["Forwarded", "VendorWebhook", "receiving_forwards"]
