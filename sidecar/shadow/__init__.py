"""Shadow: what webhooks that PHP handles would have come to here, and what the comparison says."""
