"""Tokens, and what stands between an application and a hub."""
