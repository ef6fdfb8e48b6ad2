/** What is typed into the data of an event: JSON, or else a text. */
export function dataOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What a number field says to the hub: a whole number, or nothing. */
export function wholeNumber(text: string): string {
  const value = Number(text.trim());
  return text.trim() && Number.isSafeInteger(value) && value >= 0 ? String(value) : "";
}
