import { useState, type FormEvent } from "react";
import { ask } from "../api.ts";
import type { Summary } from "../model/run.ts";
import { hrefOf } from "./useSelected.ts";

const LENGTHS = [
  [40, "short"],
  [120, "medium"],
  [600, "long"],
] as const;

/** Starts runs. They come into the list as all others do: by its stream. */
export function StartForm() {
  const [trouble, setTrouble] = useState("");
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const body = { task: form.get("task"), words: Number(form.get("words")), count: Number(form.get("count")) };
    ask<Summary[]>("/api/runs", { body }).then(
      ([first]) => {
        setTrouble("");
        if (first) location.hash = hrefOf(first.id);
      },
      (thrown: unknown) => setTrouble(thrown instanceof Error ? thrown.message : String(thrown)),
    );
  };
  return (
    <form className="card start" onSubmit={submit}>
      <label>
        Task <input name="task" required maxLength={200} defaultValue="When was the first program written?" data-testid="task" />
      </label>
      <label>
        Answer{" "}
        <select name="words" defaultValue="120" data-testid="words">
          {LENGTHS.map(([words, name]) => (
            <option key={words} value={words}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        Runs{" "}
        <select name="count" data-testid="count">
          {[1, 10, 200].map((count) => (
            <option key={count}>{count}</option>
          ))}
        </select>
      </label>
      <button data-testid="start">Start</button>
      <p role="alert" className="trouble" data-testid="start-trouble">
        {trouble}
      </p>
    </form>
  );
}
