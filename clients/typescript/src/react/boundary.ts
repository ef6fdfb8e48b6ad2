"use client";
import { Component, createContext, createElement, type ErrorInfo, type ReactElement, type ReactNode } from "react";
import { SSEError } from "../index.ts";

/** Whether hooks are to throw what ended their connection. */
export const Boundary = createContext(false);

/** What a fallback is given. */
export interface SSEErrorBoundaryFallbackProps {
  readonly error: SSEError;
  /** Shows the children again, mounted anew, which connects. */
  readonly reset: () => void;
}

/** Props of {@link SSEErrorBoundary}. */
export interface SSEErrorBoundaryProps {
  children?: ReactNode;
  /** Shown instead of the children. Default: a sentence and a button, announced to screen readers. */
  fallback?: ReactNode | ((props: SSEErrorBoundaryFallbackProps) => ReactNode);
  /** Told of each error that is caught. */
  onError?: ((error: SSEError, info: ErrorInfo) => void) | undefined;
  /** Called by `reset`, before the children are mounted: the place to get a new token. */
  onReset?: (() => void) | undefined;
}

/**
 * Shows a fallback once a connection below it is over for good (state `error`: refused, forbidden, given up). Failures
 * that mend themselves never come here, nor does a connection that the server or the application closed.
 *
 * What failed leaves with the children: connections that nobody outside shares are closed. `reset` mounts the children
 * anew, with new state, so they connect again and begin as they did at first. Errors that are no {@link SSEError} are
 * thrown on, to the next boundary above.
 */
export class SSEErrorBoundary extends Component<SSEErrorBoundaryProps, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  /** React asks for it. */
  static getDerivedStateFromError(error: unknown): { error: unknown } {
    return { error };
  }

  /** Only for errors that `render` kept. */
  override componentDidCatch(error: SSEError, info: ErrorInfo): void {
    this.props.onError?.(error, info);
  }

  /** The children, or the fallback. */
  override render(): ReactNode {
    const { children, fallback = Fallback } = this.props;
    const { error } = this.state;
    if (error === null) return createElement(Boundary.Provider, { value: true }, children);
    if (!(error instanceof SSEError)) throw error;
    if (typeof fallback !== "function") return fallback;
    const reset = (): void => {
      this.props.onReset?.();
      this.setState({ error: null });
    };
    return fallback({ error, reset });
  }
}

function Fallback({ error, reset }: SSEErrorBoundaryFallbackProps): ReactElement {
  return createElement(
    "div",
    { role: "alert" },
    `Connection lost: ${error.message} `,
    createElement("button", { type: "button", onClick: reset }, "Try again"),
  );
}
