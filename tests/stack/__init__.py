"""The real stack: MariaDB, PHP-FPM with the reference application, and nginx, started privately."""
