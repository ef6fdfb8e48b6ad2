import { useId, useState, type FormEvent } from "react";
import { publish } from "watertight/publish";
import { useAccess } from "../access.tsx";
import { sayOutcome } from "../call.ts";
import { useDoing } from "../hooks.ts";
import { dataOf } from "../model/typed.ts";
import { Outcome } from "./Notice.tsx";

/** Publishes an event by hand, once, however often the connection fails. */
export function PublishForm({ session }: { session: string }) {
  const id = useId();
  const { base, token } = useAccess();
  const [type, setType] = useState("test");
  const [text, setText] = useState('{"hello": "world"}');
  const doing = useDoing(sayOutcome);
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    doing.run(async (signal) => {
      const options = { baseUrl: base, sessionId: session, token, signal, maxRetries: 3 };
      const [published] = await publish(options, { type: type.trim() || "message", data: dataOf(text) });
      return `Published as ${published}.`;
    });
  };
  return (
    <form className="card publish" aria-labelledby={`${id}-title`} onSubmit={onSubmit}>
      <h2 id={`${id}-title`}>Publish a test event</h2>
      <label>
        Type
        <input value={type} onChange={(event) => setType(event.target.value)} data-testid="publish-type" />
      </label>
      <label>
        Data: JSON, or text
        <textarea rows={3} value={text} onChange={(event) => setText(event.target.value)} spellCheck={false} data-testid="publish-data" />
      </label>
      <div className="buttons">
        <button type="submit" className="primary" disabled={doing.isBusy} data-testid="publish">
          Publish
        </button>
        <Outcome of={doing} />
      </div>
    </form>
  );
}
