// Limits as a person types them.
import type { Limits, Quotas } from "@/api/types";

export const LIMITS = [
  { key: "resources", label: "Resources", unit: "count" },
  { key: "active_runs", label: "Runs at once", unit: "count" },
  { key: "log_bytes", label: "Bytes of logs", unit: "bytes" },
] as const;

export type LimitKey = (typeof LIMITS)[number]["key"];
export type TypedLimits = Record<LimitKey, string>;

export function typedLimits(quotas: Quotas): TypedLimits {
  const text = (key: LimitKey) => (quotas[key].limit === null ? "" : String(quotas[key].limit));
  return { resources: text("resources"), active_runs: text("active_runs"), log_bytes: text("log_bytes") };
}

const bare = (text: string) => text.replaceAll(/[\s,_]/g, "");

/** Nothing, which is no limit, or a whole number. */
export function isLimit(text: string): boolean {
  return /^\d{0,15}$/.test(bare(text));
}

/** None where a field is no whole number. */
export function limitsFrom(typed: TypedLimits): Limits | null {
  const limits: Limits = { resources: null, active_runs: null, log_bytes: null };
  for (const { key } of LIMITS) {
    const text = bare(typed[key]);
    if (text === "") continue;
    if (!isLimit(text)) return null;
    limits[key] = Number(text);
  }
  return limits;
}
