"""The console's pages, one module each. Each has ``routes(console)``, below ``/sidecar``."""
