// The sentence of an explanation in parts: an id in it becomes a link. Pure text work, no elements.

export type SentencePart = { text: string; job?: string };

const JOB = /(?:jobs\/|job )([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/g;

export function partsOf(sentence: string): SentencePart[] {
  const parts: SentencePart[] = [];
  let at = 0;
  for (const match of sentence.matchAll(JOB)) {
    const id = match[1] ?? "";
    if (match.index > at) parts.push({ text: sentence.slice(at, match.index) });
    parts.push({ text: `job …${id.slice(-6)}`, job: id });
    at = match.index + match[0].length;
  }
  if (at < sentence.length) parts.push({ text: sentence.slice(at) });
  return parts;
}
