import { useEffect, useId, useRef, useState, type FormEvent } from "react";
import { useAccess } from "../access.tsx";

/** Asks for a token when the hub did. It goes to the hub with each call, and nowhere else. */
export function SignIn() {
  const { isAsked, signIn } = useAccess();
  return isAsked ? <Form onToken={signIn} /> : null;
}

function Form({ onToken }: { onToken: (token: string, keep: boolean) => void }) {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [keep, setKeep] = useState(false);
  useEffect(() => field.current?.focus(), []);
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    const token = field.current?.value.trim() ?? "";
    if (token) onToken(token, keep);
  };
  return (
    <form className="card sign-in" aria-labelledby={`${id}-title`} onSubmit={onSubmit} data-testid="sign-in">
      <h2 id={`${id}-title`}>This hub asks for a token</h2>
      <p className="hint">
        One with admin shows everything: <code>watertight token --secret-file secret --sub operator --admin --ttl 1h</code>
      </p>
      <label htmlFor={`${id}-token`}>Token</label>
      <input id={`${id}-token`} ref={field} type="password" autoComplete="off" spellCheck={false} data-testid="token" />
      <label className="check">
        <input type="checkbox" checked={keep} onChange={() => setKeep(!keep)} />
        Keep it until this tab is closed (otherwise it is forgotten with the page)
      </label>
      <button type="submit" className="primary">
        Sign in
      </button>
    </form>
  );
}
