"""The chaos suite: the real stack under load, while its parts are killed, suspended and cut off.

Each round draws a load and a schedule of faults from its seed, lets everything come back, and then
compares what the Cloud API, PHP's tables and the dead letters say (``make chaos``).
"""
