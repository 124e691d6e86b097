"""Webhooks that occur in the wild, and what each should come to.

``kinds`` holds one JSON file for each kind, built from public reports by people who receive these
webhooks, with made-up data. ``posts`` are bodies that go out one after the other; ``expect`` says
what becomes of them at a vendor who has a bot on "price", one on "stop" (stop_promotional), an AI,
and a webhook of its own:

- ``stored``, ``absent``: customers' messages that the log has once, or never.
- ``answered``: who is sent how many free-form messages; anybody else who is named gets none.
- ``contacts``: people who are one contact, and columns of it.
- ``texts``: what the log has as a message's text.
- ``ignored`` by reason, ``dead``: updates that end there.
- ``forwarded``: what the vendor's webhook is told, once each; not given: every fact of the bodies.
  ``forward_lacks``: what must not be told with a fact.

Words between two ``@`` are filled in for each use (:mod:`simulator.cloud_api.odd.tokens`). Kinds
that are not ``random`` come only on demand.
"""
