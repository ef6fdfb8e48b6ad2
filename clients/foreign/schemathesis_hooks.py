"""What schemathesis cannot know by itself: how NDJSON is written."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context, value):
    """One JSON text a line; an example is a text already."""
    if isinstance(value, str):
        return value.encode()
    lines = value if isinstance(value, list) else [value]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@schemathesis.hook
def filter_case(_context, case):
    """What OpenAPI cannot say: which parameters go with which `Accept`, and which with which body."""
    query = case.query or {}
    if not isinstance(query, dict) or not query:
        return True
    where = (case.method.upper(), case.path.rsplit("/", 1)[-1])
    if where == ("GET", "events"):
        accept = (case.headers or {}).get("Accept", "")
        return accept == "application/json" or not {"wait", "limit"} & query.keys()
    if where == ("POST", "events"):
        return case.media_type == "text/plain" or not {"type", "ttl"} & query.keys()
    if where == ("POST", "end"):
        return not (isinstance(case.body, dict) and "keep" in case.body and "keep" in query)
    return True
