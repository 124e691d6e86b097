"""Webhooks that are acknowledged and not yet delivered to PHP."""
