"use client";
import type { ReactNode } from "react";
import { createDevtools } from "watertight/devtools";
import { SSEErrorBoundary, SSEProvider } from "watertight/react";

const devtools = createDevtools();

/** Asked before each attempt; the server that renders the page knows who is signed in, and gives a token that lives for minutes. */
async function token({ signal }: { signal: AbortSignal }): Promise<string> {
  const response = await fetch("/api/token", { method: "POST", signal });
  if (!response.ok) throw new Error(`no token: ${response.status}`);
  return response.text();
}

/** Functions cannot be passed from server components, so the provider stands in a client component. */
export function Events({ children }: { children: ReactNode }): ReactNode {
  return (
    <SSEProvider baseUrl={process.env.NEXT_PUBLIC_EVENTS_URL ?? "http://127.0.0.1:8080"} token={token} debug={devtools.debug}>
      <SSEErrorBoundary>{children}</SSEErrorBoundary>
    </SSEProvider>
  );
}
