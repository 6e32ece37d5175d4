// Reading the URL's query: what is not a plain word is dropped, so that a hand-edited URL never breaks a page.

import type { AuditFilters } from "@/api/queries";

export function word(value: unknown): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return undefined;
}

export function integer(value: unknown): number | undefined {
  const number = typeof value === "number" ? value : Number(word(value) ?? "x");
  return Number.isInteger(number) ? number : undefined;
}

export interface ListSearch {
  q?: string;
  state?: string;
  label?: string;
}

export interface DetailSearch {
  tab?: string;
  /** A revision picked in the revisions tab, and the one it is compared with. */
  rev?: number;
  from?: number;
  /** Opens the start dialog. */
  start?: boolean;
}

export interface RunSearch {
  tab?: string;
  line?: number;
}

const AUDIT_FILTERS = ["reach", "object", "action", "actor", "principal", "outcome", "job", "plan", "plan_hash", "request", "correlation", "trace", "since", "until"] as const;

export const auditSearch = (raw: Record<string, unknown>): AuditFilters => {
  const words: Partial<Record<(typeof AUDIT_FILTERS)[number], string>> = {};
  for (const name of AUDIT_FILTERS) {
    const value = word(raw[name]);
    if (value !== undefined) words[name] = value;
  }
  const { reach, ...others } = words;
  return reach === "tenant" || reach === "platform" ? { ...others, reach } : others;
};

export const listSearch = (raw: Record<string, unknown>): ListSearch => ({
  q: word(raw.q),
  state: word(raw.state),
  label: word(raw.label),
});

export const detailSearch = (raw: Record<string, unknown>): DetailSearch => ({
  tab: word(raw.tab),
  rev: integer(raw.rev),
  from: integer(raw.from),
  start: raw.start === true || raw.start === "true" ? true : undefined,
});

export const runSearch = (raw: Record<string, unknown>): RunSearch => ({
  tab: word(raw.tab),
  line: integer(raw.line),
});
