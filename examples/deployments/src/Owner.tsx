import { useState, type FormEvent } from "react";
import { ApiError, call } from "./api.ts";

/** Gives a deployment to somebody else. The hub ends the streams of whoever had it. */
export function Owner({ id }: { id: string }) {
  const [told, setTold] = useState("");
  const give = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const owner = String(new FormData(event.currentTarget).get("owner")).trim();
    try {
      await call("PUT", `/deployments/${encodeURIComponent(id)}/owner`, { owner });
      setTold(`It belongs to ${owner} now.`);
    } catch (error) {
      setTold(error instanceof ApiError ? error.message : `${error}`);
    }
  };
  return (
    <form className="card choose" onSubmit={(event) => void give(event)}>
      <label htmlFor="owner">Give {id} to</label>
      <input id="owner" name="owner" data-testid="owner" maxLength={32} required />
      <button type="submit" data-testid="give">
        Give
      </button>
      <p role="status" className="hint" data-testid="given">
        {told}
      </p>
    </form>
  );
}
