"""The public SSE contract tests, case by case, against the service in ``contract/service.py``."""
