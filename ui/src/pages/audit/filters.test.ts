import { expect, it } from "vitest";
import { auditSearch } from "@/lib/search";
import { idOf, isNarrowed, isWholeId, kindOfId, toRfc3339, toTyped, withId } from "./filters";

const ID = "01932f5e-7b1a-7000-8000-1234567890ab";

it("knows an id by its form where it can be only one", () => {
  expect(kindOfId("sha256:ab12")).toBe("plan_hash");
  expect(kindOfId("0af7651916cd43dd8448eb211c80319c")).toBe("trace");
  expect(kindOfId(ID)).toBeNull();
});

it("asks for one id at a time, and only for a whole one", () => {
  expect(withId({ action: "a.b", job: ID }, "object", ID)).toEqual({ action: "a.b", object: ID });
  expect(withId({ object: ID }, "object", ID.slice(0, 8))).toEqual({});
  expect(isWholeId("request", "r-1")).toBe(true);
  expect(isWholeId("job", "r-1")).toBe(false);
  expect(idOf({ trace: "t" })).toEqual({ kind: "trace", id: "t" });
  expect(idOf({ action: "a.b" })).toBeNull();
});

it("reads typed times as UTC, and back", () => {
  expect(toRfc3339("2026-11-20T12:30")).toBe("2026-11-20T12:30:00.000Z");
  expect(toRfc3339("")).toBeUndefined();
  expect(toTyped("2026-11-20T12:30:00.000Z")).toBe("2026-11-20T12:30");
  expect(toTyped(undefined)).toBe("");
});

it("takes from the address what is a filter, and nothing else", () => {
  const search = auditSearch({ action: "a.b", outcome: "denied", reach: "everything", page: 3 });
  expect(search).toEqual({ action: "a.b", outcome: "denied" });
  expect(auditSearch({ reach: "tenant" })).toEqual({ reach: "tenant" });
  expect(isNarrowed(search)).toBe(true);
  expect(isNarrowed({ reach: "tenant" })).toBe(false);
});
