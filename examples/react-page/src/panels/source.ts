/** What the hub says of what feeds a stream, in comments: `: waiting for source`. */
export interface SourceState {
  readonly isWaiting: boolean;
  /** The hub's words, for instance with the reason. */
  readonly words: string;
}

export const SOURCE_UNKNOWN: SourceState = { isWaiting: false, words: "" };
/** Of the hub's words, UTF-16 units. */
const WORDS_MAX = 200;

/** The state after a comment. A heartbeat has no words and changes nothing; any other comment says that it waits no more. */
export function afterComment(state: SourceState, comment: string): SourceState {
  const words = comment.trim().slice(0, WORDS_MAX);
  if (!words) return state;
  if (!/^waiting for source\b/i.test(words)) return SOURCE_UNKNOWN;
  return state.words === words ? state : { isWaiting: true, words };
}
