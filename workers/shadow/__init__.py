"""Shadow: planning what the sidecar would do, and comparing it with what PHP has done."""
