import { useEffect, useReducer, useState } from "react";
import { SSEProvider } from "watertight/react";
import { ask, canRetry, Refusal } from "./api.ts";
import { Runs } from "./parts/Runs.tsx";
import { SignIn } from "./parts/SignIn.tsx";
import { pause, pauseAfter } from "./watch/ask.ts";

/** Who is signed in: `undefined` while that is not known, `null` if nobody is. */
type User = string | null | undefined;

export function App() {
  const [user, setUser] = useState<User>();
  const [trouble, setTrouble] = useState("");
  const [signOutTrouble, setSignOutTrouble] = useState("");
  /** How often it was found that who was signed in is so no longer. */
  const [signedOut, countSignedOut] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const left = new AbortController();
    askWho(left.signal, setTrouble).then(setUser, (thrown: unknown) => {
      if (!left.signal.aborted) setTrouble(String(thrown));
    });
    return () => left.abort();
  }, [signedOut]);

  if (user === undefined) return <p className="page">{trouble || "One moment…"}</p>;
  if (user === null) return <SignIn onSignedIn={setUser} />;
  // Somebody may have signed in since, in another tab: it is asked who.
  const onSignedOut = (): void => {
    setSignOutTrouble("");
    setUser(undefined);
    countSignedOut();
  };
  const signOut = (): void => {
    setSignOutTrouble("");
    ask("/api/sign-out", { body: {} }).then(
      () => setUser(null),
      (thrown: unknown) =>
        setSignOutTrouble(`You are still signed in. ${thrown instanceof Refusal ? thrown.message : "The service does not answer."}`),
    );
  };
  return (
    // What ends the connection of one user is nothing to the next one: everything below begins anew.
    <SSEProvider key={user} identity={user}>
      <Runs user={user} onSignOut={signOut} signOutTrouble={signOutTrouble} onSignedOut={onSignedOut} />
    </SSEProvider>
  );
}

async function askWho(signal: AbortSignal, trouble: (words: string) => void): Promise<string | null> {
  for (let failures = 1; ; failures++) {
    try {
      const { user } = await ask<{ user: string }>("/api/me", { signal });
      return user;
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof Refusal && thrown.status === 401) return null;
      if (!canRetry(thrown)) throw thrown;
      trouble("The service does not answer. It is asked again.");
      await pause(pauseAfter(failures, thrown), signal);
    }
  }
}
