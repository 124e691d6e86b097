"""Runs the effects that PHP requests: messages, questions to an AI, forwards and broadcasts."""
