import type { Verification } from "@/api/types";
import { count } from "@/lib/format";
import type { Tone } from "@/lib/state";

export interface Badge {
  state: string;
  word: string;
  tone: Tone;
}

/** What the badge says. What is not known is grey, never green. */
export function badgeOf(found: Verification | undefined, error: unknown, busy: boolean): Badge {
  if (!found) return error ? { state: "unknown", word: "Not verified", tone: "idle" } : { state: "unknown", word: busy ? "Verifying" : "Not verified", tone: "idle" };
  if (found.proved) return { state: "healthy", word: found.to === null || found.to === 0 ? "Verified, empty" : `Verified up to ${count(found.to)}`, tone: "ok" };
  const range = found.seq === null ? "" : found.until !== null && found.until !== found.seq ? ` ${count(found.seq)} to ${count(found.until)}` : ` ${count(found.seq)}`;
  return { state: "failed", word: `Record${range} ${found.finding ?? "bad"}`.replace("  ", " "), tone: "bad" };
}
