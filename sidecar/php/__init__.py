"""Calls to PHP, and what is kept of its answers."""
