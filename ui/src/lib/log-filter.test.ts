import { describe, expect, it } from "vitest";
import type { LogLevel, LogLine } from "@/api/types";
import { withoutAnsi } from "./ansi";
import { ALL_LINES, filterLines, matchesOf, splitAt } from "./log-filter";

const line = (n: number, level: LogLevel, stage: string | null, text: string, attempt = 1): LogLine => ({
  n,
  attempt,
  stage,
  stream: "stdout",
  level,
  at: "2026-11-20T12:00:00.000000Z",
  text,
});
const LINES = [
  line(0, "debug", null, "starting Ray"),
  line(1, "info", "load", "Opened part-1"),
  line(2, "warning", "dedupe", "near-duplicate of 12"),
  line(3, "error", "dedupe", "opened too late", 2),
];
const numbers = (lines: readonly LogLine[]) => lines.map((each) => each.n);

describe("filter", () => {
  it("hands the same array back where nothing is filtered", () => {
    expect(filterLines(LINES, ALL_LINES)).toBe(LINES);
  });

  it("keeps a level and what is above it", () => {
    expect(numbers(filterLines(LINES, { ...ALL_LINES, level: "warning" }))).toEqual([2, 3]);
  });

  it("keeps stages, and lines of no stage when asked", () => {
    expect(numbers(filterLines(LINES, { ...ALL_LINES, stages: new Set(["dedupe"]) }))).toEqual([2, 3]);
    expect(numbers(filterLines(LINES, { ...ALL_LINES, stages: new Set(["", "load"]) }))).toEqual([0, 1]);
  });

  it("keeps one attempt", () => {
    expect(numbers(filterLines(LINES, { ...ALL_LINES, attempt: 2 }))).toEqual([3]);
  });

  it("does not hide what the search does not find, unless asked to", () => {
    const filter = { ...ALL_LINES, text: " OPENED " };
    expect(filterLines(LINES, filter)).toBe(LINES);
    expect(numbers(filterLines(LINES, filter, true))).toEqual([1, 3]);
    expect(matchesOf(LINES, " OPENED ")).toEqual([1, 3]);
  });
});

it("splits a line at every match, whatever its case", () => {
  expect(splitAt("abcABc", "ab")).toEqual([
    { text: "ab", hit: true },
    { text: "c", hit: false },
    { text: "AB", hit: true },
    { text: "c", hit: false },
  ]);
  expect(splitAt("İstanbul", "bul")).toEqual([{ text: "İstanbul", hit: false }]);
});

it("takes terminal codes out of a line", () => {
  expect(withoutAnsi("\u001b[36m(Load pid=7)\u001b[0m ok \u001b]8;;http://x\u0007link\u001b]8;;\u0007")).toBe("(Load pid=7) ok link");
});
