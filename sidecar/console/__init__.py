"""The web console: see it, and steer it, in a browser. Off unless the setting ``console`` is on."""
