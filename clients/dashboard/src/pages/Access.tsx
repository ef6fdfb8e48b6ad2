import { useId, useState, type FormEvent } from "react";
import { useAccess } from "../access.tsx";
import { sayOutcome } from "../call.ts";
import { useDoing } from "../hooks.ts";
import type { TokenAnswer } from "../model/answers.ts";
import { oneLine } from "../model/text.ts";
import { sayCount } from "../model/words.ts";
import { Confirm } from "../parts/Confirm.tsx";
import { Outcome } from "../parts/Notice.tsx";
import { Name } from "../parts/Text.tsx";

/** What a token allows, and the end of it. */
export function AccessPage() {
  const { hasToken, signOut, ask } = useAccess();
  return (
    <>
      <h1 tabIndex={-1}>Access</h1>
      <section className="card">
        <h2>This page</h2>
        <p>{hasToken ? "You are signed in. The token is in the memory of this page only, unless you chose to keep it." : "You are not signed in. An open hub asks for no token."}</p>
        <div className="buttons">
          {hasToken ? (
            <button type="button" onClick={signOut} data-testid="sign-out">
              Sign out
            </button>
          ) : (
            <button type="button" onClick={ask} data-testid="ask">
              Sign in
            </button>
          )}
        </div>
      </section>
      <Check />
      <Revoke />
    </>
  );
}

/** A token is pasted, asked about, and shown to nobody. */
function Check() {
  const id = useId();
  const { call } = useAccess();
  const [token, setToken] = useState("");
  const [answer, setAnswer] = useState<TokenAnswer | null>(null);
  const doing = useDoing(sayOutcome);
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    setAnswer(null);
    doing.run(async (signal) => {
      const said = (await call("tokens/check", { method: "POST", body: { token: token.trim() }, signal })) as TokenAnswer;
      if (!signal.aborted) setAnswer(said);
      return said.valid ? "The hub takes it." : `The hub refuses it (${said.code ?? "no code"}): ${said.reason ?? "no reason"}`;
    });
  };
  return (
    <form className="card" aria-labelledby={`${id}-title`} onSubmit={onSubmit}>
      <h2 id={`${id}-title`}>What a token allows</h2>
      <label>
        Token
        <textarea
          rows={4}
          value={token}
          onChange={(event) => setToken(event.target.value)}
          spellCheck={false}
          autoComplete="off"
          data-testid="check-token"
        />
      </label>
      <div className="buttons">
        <button type="submit" className="primary" disabled={!token.trim() || doing.isBusy} data-testid="check">
          Check
        </button>
        <Outcome of={doing} />
      </div>
      {answer && <Said of={answer} />}
    </form>
  );
}

const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const sayTime = (seconds: number | null): string => (seconds === null ? "not said" : time.format(seconds * 1_000));

function Said({ of }: { of: TokenAnswer }) {
  const list = (patterns: readonly string[]): string => patterns.join(", ") || "nothing";
  const rows: [string, string][] = [
    ["user (sub)", of.sub ?? "not said"],
    ["id (jti)", of.jti ?? "not said"],
    ["not before", sayTime(of.nbf)],
    ["expires", sayTime(of.exp)],
    ["may publish to", list(of.may.publish)],
    ["may watch", list(of.may.watch)],
    ["may operate", of.may.admin ? "yes" : "no"],
  ];
  return (
    <dl className="facts" data-testid="token-answer" data-valid={of.valid}>
      {rows.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>
            <Name of={value} max={2_000} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** Ends tokens by their id, or all of a user, and the streams that they opened. */
function Revoke() {
  const id = useId();
  const { call } = useAccess();
  const [by, setBy] = useState<"jti" | "sub">("jti");
  const [value, setValue] = useState("");
  const doing = useDoing(sayOutcome);
  const words = value.trim();
  const revoke = async (signal: AbortSignal): Promise<string> => {
    const { closed } = (await call("tokens/revoke", { method: "POST", body: { [by]: words }, signal })) as { closed: number };
    return `Revoked. ${sayCount(closed)} streams were closed.`;
  };
  return (
    <section className="card" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>Revoke</h2>
      <div className="filters">
        <label>
          By
          <select value={by} onChange={(event) => setBy(event.target.value === "sub" ? "sub" : "jti")}>
            <option value="jti">id of a token (jti)</option>
            <option value="sub">user (sub): all tokens up to now</option>
          </select>
        </label>
        <label>
          {by === "jti" ? "Id" : "User"}
          <input value={value} onChange={(event) => setValue(event.target.value)} data-testid="revoke-value" />
        </label>
      </div>
      <div className="buttons">
        <Confirm
          label="Revoke"
          questions={[by === "jti" ? `Revoke the token ${oneLine(words)}?` : `Revoke all tokens of ${oneLine(words)}?`]}
          yes="Revoke"
          disabled={!words || doing.isBusy}
          onYes={() => doing.run(revoke)}
          testId="revoke"
        />
        <Outcome of={doing} />
      </div>
    </section>
  );
}
