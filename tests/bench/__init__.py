"""Tests of the benchmark, and its short form."""
