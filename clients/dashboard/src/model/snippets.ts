import { encoded } from "./route.ts";

/** What a page shows, for those who want it without the page. */
export interface Shown {
  /** Of a stream or a list, below the hub's address: `sessions/demo/events`. Encoded. */
  readonly path: string;
  readonly isStream: boolean;
  /** The session, if it is one: the client and the hooks have a word for it. */
  readonly session?: string | undefined;
}

export interface Snippet {
  readonly name: "curl" | "EventSource" | "client" | "React";
  readonly text: string;
}

export const sessionShown = (session: string): Shown => ({
  path: `sessions/${encoded(session)}/events`,
  isStream: true,
  session,
});

/** The same for each thing that is shown. @param base the address by which the page was reached, without a slash at its end */
export function snippetsOf(shown: Shown, base: string, hasToken: boolean): readonly Snippet[] {
  const url = `${base}/${shown.path}`;
  const auth = hasToken ? ` -H "authorization: Bearer $TOKEN"` : "";
  const curl = `curl ${shown.isStream ? "-N" : "-sS"}${auth} ${shellQuote(url)}`;
  if (!shown.isStream) return [{ name: "curl", text: curl }];
  const stream = shown.session === undefined ? [`url: ${jsQuote(url)}`] : [`baseUrl: ${jsQuote(base)}`, `sessionId: ${jsQuote(shown.session)}`];
  const options = [...stream, ...(hasToken ? ["token"] : [])].map((line) => `  ${line},\n`).join("");
  const source = hasToken
    ? `// EventSource sends no header: this needs token_in_query, or a cookie (token_cookie).\nconst address = new URL(${jsQuote(url)});\naddress.searchParams.set("access_token", token);\nconst source = new EventSource(address);`
    : `const source = new EventSource(${jsQuote(url)});`;
  return [
    { name: "curl", text: curl },
    // Events with a type of their own are not `message`; what types there are is not known here.
    { name: "EventSource", text: `${source}\nsource.onmessage = ({ data }) => console.log(data);` },
    {
      name: "client",
      text: `import { SSEClient } from "watertight";\n\nconst client = new SSEClient({\n${options}});\nclient.on("*", ({ type, data }) => console.log(type, data));\nclient.connect();`,
    },
    {
      name: "React",
      text: `import { useSSEEvent } from "watertight/react";\n\nuseSSEEvent("*", (data, { type }) => console.log(type, data), {\n${options}});`,
    },
  ];
}

/** A text as one word of a POSIX shell, whatever is in it. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A text as a string of JavaScript: what it says is what can be seen. */
export function jsQuote(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(
    /[<\u007f-\u00a0\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
