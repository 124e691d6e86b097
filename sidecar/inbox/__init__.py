"""Webhooks that are acknowledged and not yet in PHP."""
