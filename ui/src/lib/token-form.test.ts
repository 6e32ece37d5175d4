import { expect, it } from "vitest";
import { FRESH_TOKEN, patternsFrom, tokenBody } from "./token-form";

it("makes a token's body of what was typed", () => {
  expect(tokenBody({ ...FRESH_TOKEN, label: " laptop " })).toEqual({ label: "laptop", expires_in_s: 2_592_000, allows: null });
  expect(tokenBody({ label: "ci", days: 0, reach: "read", patterns: "" })).toEqual({ label: "ci", expires_in_s: null, allows: ["read"] });
  expect(tokenBody({ label: "ci", days: 7, reach: "some", patterns: "read, pipelines.run\njobs.*" })?.allows).toEqual(["read", "pipelines.run", "jobs.*"]);
});

it("makes none without a label, or of patterns that are none", () => {
  expect(tokenBody(FRESH_TOKEN)).toBeNull();
  expect(tokenBody({ label: "ci", days: 7, reach: "some", patterns: "" })).toBeNull();
  expect(patternsFrom("read; jobs")).toBeNull();
  expect(patternsFrom("*.validate dead-letters.redeliver secrets.rotate-master")).toHaveLength(3);
});
