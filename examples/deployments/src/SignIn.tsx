import { useState, type FormEvent } from "react";
import { ApiError, call, type Session } from "./api.ts";

interface SignInProps {
  onSignedIn: (session: Session) => void;
}

export function SignIn({ onSignedIn }: SignInProps) {
  const [problem, setProblem] = useState("");
  const signIn = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.currentTarget));
    try {
      onSignedIn(await call<Session>("POST", "/session", form));
    } catch (error) {
      setProblem(error instanceof ApiError ? error.message : `${error}`);
    }
  };
  return (
    <form className="card sign-in" onSubmit={(event) => void signIn(event)}>
      <label htmlFor="user">User</label>
      <input id="user" name="user" data-testid="user" autoComplete="username" required />
      <label htmlFor="password">Password</label>
      <input id="password" name="password" data-testid="password" type="password" autoComplete="current-password" required />
      <button type="submit" data-testid="sign-in">
        Sign in
      </button>
      {problem && (
        <p role="alert" data-testid="problem">
          {problem}
        </p>
      )}
    </form>
  );
}
