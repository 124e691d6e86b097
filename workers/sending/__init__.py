"""Sending: campaigns and replies, within the limits of Meta."""
