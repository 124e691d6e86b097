"""The embedded backend's own parts; what it promises is tested in ``tests/contract``."""
