"""Benchmarks, each beside a peer or a budget."""
