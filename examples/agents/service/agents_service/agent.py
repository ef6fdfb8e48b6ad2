"""The agent: a script in the place of a language model, with the same shape of answers and a real pace.

The same task gives the same steps each time, and no two sentences of an answer are alike: tests see by that whether a
page has shown everything once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

from .steps import Step, progress, text, tool, tool_result

TOKEN_SECONDS = 0.04
"""Between two pieces of text: about as fast as a language model writes."""
TOOL_SECONDS = 0.4
"""How long a tool takes."""

_TOOLS = ("search", "open", "calculate")
_LABELS = ("Reading the task", "Asking the tools", "Writing the answer", "Checking it", "Done")
_SUBJECTS = ("The source", "A second look", "The archive", "Every table", "The older note")
_VERBS = ("confirms", "contradicts", "narrows", "repeats", "dates", "explains", "questions")
_OBJECTS = ("the first figure", "what was assumed", "the usual account", "an earlier answer", "the claim")
_WORDS_PER_SENTENCE = 8


class ToolError(Exception):
    """A tool gave no answer that an agent can use."""


def answer(task: str, words: int) -> Iterator[str]:
    """Yield the answer to a task, in pieces of a word with the blank behind it; about so many words."""
    yield from (f"{word} " for word in f"On “{task}”:".split())
    for n in range(1, max(2, words // _WORDS_PER_SENTENCE)):
        parts = (_SUBJECTS[n % 5], _VERBS[n % 7], _OBJECTS[n * n % 5])
        yield from (f"{word} " for word in f"({n}) {' '.join(parts)}.".split())


async def work(task: str, words: int, pace: float) -> AsyncGenerator[Step, None]:
    """Work on a task, and yield each step as it is done.

    Cancelling it anywhere leaves nothing behind.

    :param pace: how long it takes, as a multiple of the usual.
    :raises ToolError: if a tool fails, as all do whose task has the word ``fail`` in it.
    """
    total = len(_LABELS) - 1
    yield progress(0, total, _LABELS[0])
    await asyncio.sleep(TOOL_SECONDS * pace)
    yield progress(1, total, _LABELS[1])
    for call, name in enumerate(_TOOLS, start=1):
        yield tool(call, name, task)
        await asyncio.sleep(TOOL_SECONDS * pace)
        if "fail" in task.split():
            yield tool_result(call, "no answer", ok=False)
            raise ToolError(f"the tool “{name}” gave no answer")
        yield tool_result(call, f"{len(task) * call} matches")
    yield progress(2, total, _LABELS[2])
    for piece in answer(task, words):
        await asyncio.sleep(TOKEN_SECONDS * pace)
        yield text(piece)
    yield progress(3, total, _LABELS[3])
    await asyncio.sleep(TOOL_SECONDS * pace)
    yield progress(4, total, _LABELS[4])
