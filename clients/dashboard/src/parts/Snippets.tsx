import { useState } from "react";
import { useAccess } from "../access.tsx";
import { snippetsOf, type Shown } from "../model/snippets.ts";

/** How to get what is shown without this page. */
export function Snippets({ shown }: { shown: Shown }) {
  const { base, hasToken } = useAccess();
  const [copied, setCopied] = useState("");
  const copy = async (name: string, text: string): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(`${name}: copied`);
    } catch {
      setCopied("The browser does not let this page copy: select the text.");
    }
  };
  return (
    <details className="card snippets" data-testid="snippets">
      <summary>The same by curl{shown.isStream && ", EventSource, the client and React"}</summary>
      {snippetsOf(shown, base, hasToken).map(({ name, text }) => (
        <figure key={name}>
          <figcaption className="title">
            <h3>{name}</h3>
            <button type="button" onClick={() => void copy(name, text)} aria-label={`Copy the snippet for ${name}`}>
              Copy
            </button>
          </figcaption>
          <pre tabIndex={0} data-testid={`snippet-${name}`}>
            {text}
          </pre>
        </figure>
      ))}
      <p className="hint" role="status">
        {copied}
      </p>
    </details>
  );
}
