"""The Dramatiq actors: draining the inbox and sending campaigns."""
