from tests.stack.packages import wanted

#: Where the stack cannot be started, tests/stack/test_packages.py says so.
collect_ignore = [] if wanted() else ["test_rehearsal.py"]
