"""Shadow: plans what the sidecar would do, and compares it with what PHP has done."""
