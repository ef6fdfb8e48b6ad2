"""Watches a stream with a client of somebody else: python watch.py CLIENT URL

Prints "open" for each connection, and "ID<tab>TYPE<tab>DATA" for each event. These clients parse a stream and
leave reconnecting to their user: the loop below is what their documents recommend.
"""

import sys
import time

import httpx
import httpx_sse
import requests
import sseclient

RETRY_SECONDS = 0.05
ACCEPT = {"Accept": "text/event-stream"}


def with_httpx_sse(url, headers):
    """One connection by httpx-sse."""
    with httpx.Client(timeout=None) as client:
        with httpx_sse.connect_sse(client, "GET", url, headers=headers) as source:
            source.response.raise_for_status()
            print("open", flush=True)
            yield from source.iter_sse()


def with_sseclient(url, headers):
    """One connection by sseclient-py over requests."""
    with requests.get(url, headers=headers, stream=True, timeout=60) as answer:
        answer.raise_for_status()
        print("open", flush=True)
        yield from sseclient.SSEClient(answer).events()


CLIENTS = {"httpx-sse": with_httpx_sse, "sseclient-py": with_sseclient}
BROKEN = (httpx.TransportError, requests.RequestException)


def main():
    """Watches for ever."""
    name, url = sys.argv[1:]
    connect = CLIENTS[name]
    last_id = ""
    while True:
        headers = ACCEPT | ({"Last-Event-ID": last_id} if last_id else {})
        try:
            for event in connect(url, headers):
                last_id = event.id or last_id
                if not event.data:
                    # An id alone is no event (HTML Standard, section 9.2.6), but httpx-sse gives it as one.
                    continue
                print(last_id, event.event, event.data, sep="\t", flush=True)
        except BROKEN as error:
            print(error, file=sys.stderr)
        time.sleep(RETRY_SECONDS)


main()
