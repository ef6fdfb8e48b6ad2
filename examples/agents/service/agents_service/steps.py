"""What an agent does, one step at a time, and what the steps of a run amount to.

Every step of a run has a number, from 1 on, without holes. The page gets a snapshot with the number of the last step in
it, and then steps as events: by the numbers it applies each of them exactly once, whatever happened in between.
``src/model/run.ts`` is the page's half of this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import TypedDict

Status = Literal["running", "done", "failed", "interrupted"]
Kind = Literal["text", "tool", "tool-result", "progress", "end"]


_FIELDS: dict[Kind, dict[str, type | tuple[type, ...]]] = {
    "text": {"text": str},
    "tool": {"call": int, "name": str, "input": str},
    "tool-result": {"call": int, "output": str, "ok": bool},
    "progress": {"done": int, "total": int, "label": str},
    "end": {"status": str, "note": str, "endedAt": (int, float)},
}
"""What the data of each kind of step has in it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that an agent did: a piece of text, a tool called or answering, progress, the end.

    What is in it is checked here, where the agent makes it: a step that was kept has to be one for ever.
    """

    kind: Kind
    data: dict[str, Any]

    def __post_init__(self) -> None:
        """Check what is in it.

        :raises TypeError: if a field is missing, or is something else than it should be. Nothing of the data is shown.
        """
        for name, wanted in _FIELDS[self.kind].items():
            if not isinstance(self.data.get(name), wanted):
                kind = type(self.data.get(name)).__name__
                raise TypeError(f"a step of the kind {self.kind!r} cannot have a {kind} as its {name!r}")


def text(piece: str) -> Step:
    """Build a step: the agent wrote a piece of text."""
    return Step("text", {"text": piece})


def tool(call: int, name: str, given: str) -> Step:
    """Build a step: the agent called a tool. ``call`` counts the calls of the run."""
    return Step("tool", {"call": call, "name": name, "input": given})


def tool_result(call: int, output: str, *, ok: bool = True) -> Step:
    """Build a step: the tool answered, or said why it cannot."""
    return Step("tool-result", {"call": call, "output": output, "ok": ok})


def progress(done: int, total: int, label: str) -> Step:
    """Build a step: ``done`` of ``total`` parts are behind the agent; ``label`` says what it is at."""
    return Step("progress", {"done": done, "total": total, "label": label})


def end(status: Status, note: str, at: float) -> Step:
    """Build a run's last step. ``at`` is in seconds since 1970."""
    return Step("end", {"status": status, "note": note, "endedAt": at})


class ToolCall(TypedDict):
    """A tool that the agent called."""

    call: int
    name: str
    input: str
    output: str | None
    """``None`` while it works."""
    ok: bool


class Summary(TypedDict):
    """A row of the list of runs. Of two rows of one run the one with the greater ``n`` is the newer."""

    id: str
    task: str
    status: Status
    done: int
    total: int
    startedAt: float
    endedAt: float | None
    n: int


class Snapshot(Summary):
    """All that the first ``n`` steps of a run amount to."""

    label: str
    note: str
    text: str
    tools: list[ToolCall]


@dataclass(slots=True)
class Run:
    """A run, as its first ``n`` steps made it."""

    id: str
    owner: str
    task: str
    words: int
    started_at: float
    n: int = 0
    status: Status = "running"
    ended_at: float | None = None
    note: str = ""
    done: int = 0
    total: int = 0
    label: str = ""
    tools: list[ToolCall] = field(default_factory=list["ToolCall"])
    pieces: list[str] = field(default_factory=list[str])

    @property
    def is_over(self) -> bool:
        """Whether the last step is among those that made it."""
        return self.status != "running"

    def apply(self, n: int, step: Step) -> None:
        """Apply the next step.

        :raises ValueError: if ``n`` is not the next number: the steps of a run have no holes.
        """
        if n != self.n + 1:
            raise ValueError(f"step {n} after step {self.n} of run {self.id}")
        self.n = n
        data = step.data
        if step.kind == "text":
            self.pieces.append(data["text"])
        elif step.kind == "tool":
            self.tools.append(
                {
                    "call": data["call"],
                    "name": data["name"],
                    "input": data["input"],
                    "output": None,
                    "ok": True,
                }
            )
        elif step.kind == "tool-result":
            for called in self.tools:
                if called["call"] == data["call"]:
                    called["output"], called["ok"] = data["output"], data["ok"]
        elif step.kind == "progress":
            self.done, self.total, self.label = data["done"], data["total"], data["label"]
        else:
            self.status, self.note, self.ended_at = data["status"], data["note"], data["endedAt"]

    def summary(self) -> Summary:
        """Return its row in the list of runs."""
        return {
            "id": self.id,
            "task": self.task,
            "status": self.status,
            "done": self.done,
            "total": self.total,
            "startedAt": self.started_at,
            "endedAt": self.ended_at,
            "n": self.n,
        }

    def summary_after(self, step: Step) -> Summary | None:
        """Return the row that the list will have after the next step; ``None`` if the step changes nothing there."""
        row: Summary = {**self.summary(), "n": self.n + 1}
        if step.kind == "progress":
            row["done"], row["total"] = step.data["done"], step.data["total"]
        elif step.kind == "end":
            row["status"], row["endedAt"] = step.data["status"], step.data["endedAt"]
        else:
            return None
        return row

    def snapshot(self) -> Snapshot:
        """Return all of it, for a page that begins to watch; a copy, which no later step changes."""
        return {
            **self.summary(),
            "label": self.label,
            "note": self.note,
            "text": "".join(self.pieces),
            "tools": [called.copy() for called in self.tools],
        }
