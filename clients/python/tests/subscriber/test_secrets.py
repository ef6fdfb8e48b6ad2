"""Neither an error, nor what is behind it, nor anything that is printed or logged shows what was sent."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.readers import Reader
from tests.kit.server import Server
from watertight_sse import WatertightError

Read = Callable[..., Reader]
TOKEN = "the-secret-token"
WORDS = (TOKEN, "secret-header", "secret-body", "secret-query")
OPTIONS: dict[str, Any] = {
    "token": lambda: TOKEN,
    "headers": {"x-key": "secret-header"},
    "method": "POST",
    "body": "secret-body",
    "max_retries": 1,
    "retry_base": 0.001,
    "connect_timeout": 0.3,
}


def _shown(error: BaseException | None) -> str:
    """All that a person or a reporter of errors can get out of it, and of what is behind it."""
    text = ""
    seen = 0
    while error is not None and seen < 10:
        text += "".join(traceback.format_exception(error)) + repr(error) + str(vars(error)) + repr(error.args)
        # What a transport raises may keep the request, and with it the token.
        assert isinstance(error, WatertightError), error
        error = error.__cause__ or error.__context__
        seen += 1
    return text


@pytest.mark.parametrize(
    "answer",
    ["reset", "silence", "401", "403", "500", "redirect", "nonsense", "no stream", "nobody"],
)
async def test_no_error_shows_what_was_sent(
    read: Read, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # What it logs at this level of what servers have sent is httpcore's own, and no header of a request.
    caplog.set_level(logging.INFO, "httpcore")

    async with Server() as server:
        url = (
            f"{server.url}/x?key=secret-query"
            if answer != "nobody"
            else "http://127.0.0.1:1/x?key=secret-query"
        )
        async with read(url, **OPTIONS) as reader:
            waiting = reader.start_next()
            while answer != "nobody" and not waiting.done():
                peer = await server.accept_unless(waiting)
                if peer is None:
                    break
                if answer == "reset":
                    peer.reset()
                elif answer == "redirect":
                    await peer.answer(307, {"location": "http://u:secret-query@elsewhere/?secret-query"})
                elif answer == "nonsense":
                    await peer.say("nonsense\r\n\r\n")
                    peer.hang_up()
                elif answer == "no stream":
                    await peer.say("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n")
                elif answer != "silence":
                    await peer.answer(int(answer))
            with pytest.raises(WatertightError) as caught:
                await waiting
            texts = [
                _shown(caught.value),
                repr(reader.subscription),
                repr(vars(reader.subscription)),
                caplog.text,
            ]
            texts += [repr(status) for status in reader.statuses]
            for word in WORDS:
                assert not any(word in text for text in texts), word
