"""Valkey servers for tests."""

from simulator.valkey import start_valkey, url_of

__all__ = ["start_valkey", "url_of"]
