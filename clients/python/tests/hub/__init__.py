"""The hub in the process."""
