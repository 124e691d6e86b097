"""What an operator is shown: accounting, metrics, problems, backlog and dead letters."""
