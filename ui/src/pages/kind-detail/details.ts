/** `a:b, c:d` as labels; null where an entry is not a key, a colon and a value. */
export function labelsFrom(text: string): Record<string, string> | null {
  const labels: Record<string, string> = {};
  for (const entry of wordsFrom(text)) {
    const colon = entry.indexOf(":");
    if (colon <= 0) return null;
    labels[entry.slice(0, colon).trim()] = entry.slice(colon + 1).trim();
  }
  return labels;
}

export function wordsFrom(text: string): string[] {
  return text
    .split(",")
    .map((word) => word.trim())
    .filter(Boolean);
}
