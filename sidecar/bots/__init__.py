"""Which bots answer a message: a vendor's bots compiled, for PHP's questions and the webhooks."""
