"""Moving vendors from PHP's crons to the sidecar, and back."""
