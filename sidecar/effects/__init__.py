"""The outbox: what PHP has asked to be done after its transaction."""
