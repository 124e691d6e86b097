"""The rehearsal of MIGRATION.md on the real stack: its commands are executed as they stand there,
under load, and after each step everything is counted."""
