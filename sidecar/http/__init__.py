"""The HTTP server: webhooks, the proxy to PHP, and the signed routes that PHP calls."""
