"""The contract of the PHP side, as tests that run against every implementation of it.

A test talks to a running backend over HTTP, and looks at and ages rows through the few hooks of
:class:`tests.contract.under_test.BackendUnderTest`. Another implementation is one more parameter
of the fixture in ``conftest.py``.
"""
