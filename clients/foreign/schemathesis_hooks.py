"""What schemathesis cannot know by itself: how NDJSON is written."""

import json
from urllib.parse import unquote

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context, value):
    """One JSON text a line. The document's example is written already; any other text becomes an event's data."""
    if isinstance(value, str):
        return value.encode() if value.startswith('{"data":') else json.dumps({"data": value}).encode()
    lines = value if isinstance(value, list) else [value]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """What OpenAPI cannot say: which parameters go with which `Accept`, and which with which body."""
    # Sessions of deployments and of services, and that of the hub's own figures, are listed, and have routes of their own.
    query = case.query
    for parameters in (case.path_parameters, query):
        named = parameters.get("session", "") if isinstance(parameters, dict) else ""
        if unquote(str(named)).startswith(("deployments/", "services/", "stats/stream")):
            parameters["session"] = "demo"
    if not isinstance(query, dict):
        return
    where = (case.method.upper(), case.operation.path.rsplit("/", 1)[-1])
    unusable = set()
    if where in {("GET", "events"), ("GET", "stream")} and (case.headers or {}).get("Accept") != "application/json":
        unusable = {"wait", "limit"}
    if where == ("POST", "events") and case.media_type != "text/plain":
        unusable = {"type", "ttl"}
    if where == ("POST", "logs") and str(query.get("end")).lower() != "true":
        unusable = {"exit_code"}
    if where == ("POST", "logs") and "epoch" in query:
        unusable.add("reopen")
    if where == ("POST", "end") and isinstance(case.body, dict) and "keep" in case.body:
        unusable = {"keep"}
    for name in unusable & query.keys():
        del query[name]
