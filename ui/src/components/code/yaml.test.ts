import { describe, expect, it } from "vitest";
import { markersFor, parseYaml, toYaml } from "./yaml";

const TEXT = `execution_mode: streaming
stages:
  - id: load
    uses: a.b:Load
  - id: write
    uses: a.b:Wrong
    resources: {cpus: 9}
`;
const marked = (pointer: string, prefix = "") => {
  const [marker] = markersFor(TEXT, [{ pointer, detail: "wrong" }], prefix);
  return marker && TEXT.slice(marker.from, marker.to);
};

describe("markers", () => {
  it("stand at the key and value that a pointer names", () => {
    expect(marked("/stages/1/uses")).toBe("uses: a.b:Wrong");
    expect(marked("/spec/stages/1/uses", "/spec")).toBe("uses: a.b:Wrong");
    expect(marked("/stages/1/resources/cpus")).toBe("cpus: 9");
  });

  it("stand at the nearest thing that exists", () => {
    expect(marked("/stages/1/params/threshold")).toBe("id: write");
    expect(marked("/nothing")).toBe("execution_mode: streaming");
    expect(marked("")).toBe("execution_mode: streaming");
  });

  it("take line and column where the server gives them", () => {
    const [marker] = markersFor(TEXT, [{ pointer: "", detail: "bad", line: 4, column: 5 }]);
    expect(marker && TEXT.slice(marker.from, marker.to)).toBe("uses: a.b:Load");
  });
});

describe("parsing", () => {
  it("gives back what was written", () => {
    const value = { a: "yes", b: [1, { c: null }], d: "multi\nline", e: "${params.x}" };
    expect(parseYaml(toYaml(value))).toEqual({ value, errors: [] });
  });

  it.each(["a: [1,", "a: 1\na: 2", "- 1", "just text"])("says where it is no document: %j", (text) => {
    const parsed = parseYaml(text);
    expect(parsed.value).toBeNull();
    expect(parsed.errors.length).toBeGreaterThan(0);
  });

  it("refuses a bomb of aliases", () => {
    const rows = ["a: &a [x, x, x, x, x, x, x, x, x]"];
    for (const [to, from] of ["ba", "cb", "dc", "ed", "fe"]) rows.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(", ")}]`);
    expect(parseYaml(rows.join("\n")).value).toBeNull();
  });
});
