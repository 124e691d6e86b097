"""A MariaDB of one's own."""

from collections.abc import Sequence

from simulator.stack.sql_server import SqlServer


class MariaDB(SqlServer):
    server = "mariadbd"
    options: Sequence[str] = ("--innodb-log-file-size=32M",)

    def installer(self) -> list[str]:
        # With force it does without a host name that can be looked up.
        arguments = ["--auth-root-authentication-method=normal", "--skip-test-db", "--force"]
        return ["mariadb-install-db", *arguments]
