"""A WhatsApp Cloud API that behaves like Meta's, faults included. Nothing leaves this machine
unless a webhook URL points elsewhere.

``POST /{version}/{phone_number_id}/messages`` takes messages, to numbers or user ids, as strictly
as Meta: free-form ones only within 24 hours of the customer's message, templates only in the state
in which they are. ``marketing_messages`` takes marketing templates
(:mod:`simulator.cloud_api.marketing`). Statuses and customers' messages go out as signed webhooks,
batched, duplicated, reordered, early and retried as Meta's are; some customers hide their number.
``GET /{version}/{media_id}`` tells where the media are that customers send.
``/_simulator/`` holds the control endpoints (:mod:`simulator.cloud_api.control`); webhooks as they
occur in the wild are in :mod:`simulator.cloud_api.odd`.

Recipients whose last ten digits have a meaning of their own (see
:mod:`simulator.cloud_api.recipient`), where CODE is an error code in seven digits:

- ``999CODE``: the send is answered with this error (``+1 999 0131026``);
- ``888CODE``: the send is accepted, and a ``failed`` status with this code follows;
- ``777CODE``: the send is accepted but held for quality assessment, and then dropped with this
  code; ``7770000000`` is held, and then goes out.

Two ways to run it: ``python -m simulator cloud-api``, or in process with
:func:`simulator.cloud_api.server.running`.
"""
