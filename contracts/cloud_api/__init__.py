"""Meta's side: webhook envelopes, the messages call, and the classes of its errors."""
