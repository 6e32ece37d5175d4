/** The one-time code in a fragment (`#code=…`) or in a whole pasted link; null where there is none. */
export function codeFrom(text: string): string | null {
  const hash = text.indexOf("#");
  if (hash < 0) return null;
  return new URLSearchParams(text.slice(hash + 1)).get("code") || null;
}
