"""The subscriber: parser, decisions, and both variants over real sockets."""
