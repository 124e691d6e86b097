"""The HTTP face of the sidecar, and what it shares with the workers."""
