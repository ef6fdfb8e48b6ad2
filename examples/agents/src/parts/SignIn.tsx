import { useState, type FormEvent } from "react";
import { ask } from "../api.ts";

export function SignIn({ onSignedIn }: { onSignedIn: (user: string) => void }) {
  const [trouble, setTrouble] = useState("");
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const body = { user: form.get("user"), password: form.get("password") };
    ask<{ user: string }>("/api/sign-in", { body }).then(
      ({ user }) => onSignedIn(user),
      (thrown: unknown) => setTrouble(thrown instanceof Error ? thrown.message : String(thrown)),
    );
  };
  return (
    <main className="page sign-in">
      <h1>Agents</h1>
      <form className="card" onSubmit={submit}>
        <label>
          User <input name="user" autoComplete="username" required data-testid="user" />
        </label>
        <label>
          Password <input name="password" type="password" autoComplete="current-password" required data-testid="password" />
        </label>
        <button data-testid="sign-in">Sign in</button>
        <p role="alert" className="trouble" data-testid="sign-in-trouble">
          {trouble}
        </p>
      </form>
      <p className="hint">Two users are there to try it: “ada”, whose password is “analytical engine”, and “grace”, “flow-matic”.</p>
    </main>
  );
}
