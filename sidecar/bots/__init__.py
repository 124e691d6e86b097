"""Which bots answer a message: vendors' compiled bots, for PHP's calls and for webhooks."""
