"""The outbox: what PHP has requested to happen after its transaction."""
