"""The embedded backend: the PHP side's contract on SQLite, with the real tables' names."""
