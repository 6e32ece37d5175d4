// What is typed of a token, and the body that it becomes.
import type { TokenBody } from "@/api/types";

const DAY_S = 86_400;

export const TOKEN_LIVES = [
  [7, "7 days"],
  [30, "30 days"],
  [90, "90 days"],
  [365, "a year"],
  [0, "until it is revoked"],
] as const;

export type TokenReach = "all" | "read" | "some";

export interface TypedToken {
  label: string;
  days: number;
  reach: TokenReach;
  patterns: string;
}

export const FRESH_TOKEN: TypedToken = { label: "", days: 30, reach: "all", patterns: "" };

const PATTERN = /^(?:\*|read|(?:\*|[a-z][a-z-]*)\.(?:\*|[a-z][a-z_-]*))$/;

/** The patterns, or null where one is none or none is given. */
export function patternsFrom(text: string): string[] | null {
  const patterns = text.split(/[\s,]+/).filter(Boolean);
  return patterns.length > 0 && patterns.every((pattern) => PATTERN.test(pattern)) ? patterns : null;
}

/** The request's body; null where what was typed cannot be one. */
export function tokenBody({ label, days, reach, patterns }: TypedToken): TokenBody | null {
  const allows = reach === "all" ? null : reach === "read" ? ["read"] : patternsFrom(patterns);
  if (!label.trim() || (reach === "some" && !allows)) return null;
  return { label: label.trim(), expires_in_s: days > 0 ? days * DAY_S : null, allows };
}
