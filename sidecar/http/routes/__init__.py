"""The handlers of the signed routes, and of the metrics."""
