// Which lines of a log are shown. Pure: the log view filters what it holds, and the same rules apply to lines that
// arrive later.
import type { LogLevel, LogLine } from "@/api/types";

export const LEVELS: readonly LogLevel[] = ["debug", "info", "warning", "error"];

export interface LogFilter {
  /** Empty: all stages. `""` stands for lines of no stage. */
  stages: ReadonlySet<string>;
  /** This level and above. */
  level: LogLevel;
  text: string;
  attempt: number | null;
}

export const ALL_LINES: LogFilter = { stages: new Set(), level: "debug", text: "", attempt: null };

export function isFiltering(filter: LogFilter): boolean {
  return filter.stages.size > 0 || filter.level !== "debug" || filter.attempt !== null;
}

function rank(level: string): number {
  const at = LEVELS.indexOf(level as LogLevel);
  return at < 0 ? 1 : at;
}

/** Everything but the text: searching marks lines, it does not hide them, unless `onlyMatches` is asked for. */
export function passes(line: LogLine, filter: LogFilter): boolean {
  if (rank(line.level) < rank(filter.level)) return false;
  if (filter.stages.size > 0 && !filter.stages.has(line.stage ?? "")) return false;
  return filter.attempt === null || line.attempt === filter.attempt;
}

export function filterLines(lines: readonly LogLine[], filter: LogFilter, onlyMatches = false): readonly LogLine[] {
  const needle = onlyMatches ? filter.text.trim().toLowerCase() : "";
  if (!needle && !isFiltering(filter)) return lines;
  return lines.filter((line) => passes(line, filter) && (!needle || line.text.toLowerCase().includes(needle)));
}

/** The indexes of the lines that have the searched text. */
export function matchesOf(lines: readonly LogLine[], text: string): number[] {
  const needle = text.trim().toLowerCase();
  if (!needle) return [];
  const found: number[] = [];
  for (const [i, line] of lines.entries()) if (line.text.toLowerCase().includes(needle)) found.push(i);
  return found;
}

/** Splits a line's text at the searched words, for marking them. */
export function splitAt(text: string, search: string): { text: string; hit: boolean }[] {
  const needle = search.trim().toLowerCase();
  if (!needle) return [{ text, hit: false }];
  const low = text.toLowerCase();
  // A few characters change length when lowered; then nothing is marked rather than the wrong thing.
  if (low.length !== text.length) return [{ text, hit: false }];
  const parts: { text: string; hit: boolean }[] = [];
  let from = 0;
  for (let at = low.indexOf(needle); at >= 0; at = low.indexOf(needle, from)) {
    if (at > from) parts.push({ text: text.slice(from, at), hit: false });
    parts.push({ text: text.slice(at, at + needle.length), hit: true });
    from = at + needle.length;
  }
  if (from < text.length) parts.push({ text: text.slice(from), hit: false });
  return parts;
}
