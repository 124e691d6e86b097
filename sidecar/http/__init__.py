"""The HTTP face: webhooks, what is passed on to PHP, and the signed routes that PHP calls."""
