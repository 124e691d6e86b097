"""Telling people what is wrong: by a signed webhook, by e-mail, or in Slack."""
