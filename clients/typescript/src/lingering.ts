/** What ends connections that nobody uses and that wait for somebody to come back. Tests end them all at once. */
export const lingering = new Set<() => void>();
