import { expect, it } from "vitest";
import { prefixOf, scopeOf } from "./scope";

it("reads the scope out of an address, and writes it before one", () => {
  for (const [path, scope] of [
    ["/runs", {}],
    ["/t/acme", { tenant: "acme" }],
    ["/t/acme/runs", { tenant: "acme" }],
    ["/t/acme/p/lab/runs/1", { tenant: "acme", project: "lab" }],
    ["/t/acme/pipelines/lab", { tenant: "acme" }],
    ["/toys/t/acme", {}],
    ["/t/", {}],
  ] as const) {
    expect(scopeOf(path), path).toEqual({ tenant: undefined, project: undefined, ...scope });
  }
  expect(prefixOf({ tenant: "acme", project: "lab" })).toBe("/t/acme/p/lab");
  expect(prefixOf({ tenant: "acme" })).toBe("/t/acme");
  expect(prefixOf({})).toBe("");
});
