/** What the hub's lists say of each row, as far as it is shown. */

export interface SourceSummary {
  readonly state: string;
  readonly forSeconds: number;
  readonly errors: number;
  readonly lastError: string | null;
}

export interface SessionSummary {
  readonly session: string;
  readonly state: "open" | "ended";
  readonly subscribers: number;
  readonly events: number;
  readonly bytes: number;
  readonly idleSeconds: number;
  readonly newest: string;
  /** Of the slowest subscriber, events. */
  readonly lag?: number | null;
  readonly source: SourceSummary | null;
}

export interface ConnectionSummary {
  readonly id: string;
  readonly kind: string;
  readonly user: string | null;
  readonly session: string;
  readonly address?: string | null;
  readonly delivery: string;
  readonly ageSeconds: number;
  readonly sent: number;
  readonly lag: number;
  readonly stalled: boolean;
  readonly errors: number;
  readonly validations: number;
}

export interface ConnectionsAnswer {
  readonly connections: readonly ConnectionSummary[];
  readonly total: number;
  readonly matched: number | null;
  readonly next: string | null;
}

export interface SourcesAnswer {
  readonly matched: number;
  readonly next: string | null;
  readonly sources: readonly {
    readonly name: string;
    readonly kind: string;
    readonly state: string;
    readonly breaker: string;
    readonly forSeconds: number;
    readonly lastError: string | null;
    readonly subscribers: number;
  }[];
}

/** What `POST /tokens/check` says of a token. */
export interface TokenAnswer {
  readonly valid: boolean;
  readonly reason: string | null;
  readonly code: string | null;
  readonly sub: string | null;
  readonly jti: string | null;
  /** Seconds since 1970. */
  readonly exp: number | null;
  readonly nbf: number | null;
  readonly may: { readonly publish: readonly string[]; readonly watch: readonly string[]; readonly admin: boolean };
}
