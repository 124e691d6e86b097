"""Shadow: records webhooks that PHP handles, and reports how the sidecar would have done."""
