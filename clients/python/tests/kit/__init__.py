"""What the tests share: a hub as a process, servers that do as they are told, and readers of both variants."""
