"""A MySQL of one's own."""

from simulator.stack.sql_server import SqlServer


class MySQL(SqlServer):
    server = "mysqld"
    options = (
        "--mysqlx=OFF",
        "--innodb-redo-log-capacity=64M",
        # Debian's default is a folder that is not there before its service has been started.
        "--secure-file-priv=",
    )

    def installer(self) -> list[str]:
        return [self.server, "--initialize-insecure"]
