"""Doing what PHP has asked for: messages, questions to an AI, forwards and broadcasts."""
