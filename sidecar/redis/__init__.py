"""Redis: its keys, scripts, leases and memory."""
