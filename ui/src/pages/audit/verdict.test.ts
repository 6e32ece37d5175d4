import { expect, it } from "vitest";
import type { Verification } from "@/api/types";
import { badgeOf } from "./verdict";

const found = (part: Partial<Verification>): Verification => ({ proved: true, from: 1, to: 1234, chain_hash: null, finding: null, seq: null, until: null, detail: "", ...part });

it("is green only where something was proved", () => {
  expect(badgeOf(found({}), null, false)).toEqual({ state: "healthy", word: "Verified up to 1,234", tone: "ok" });
  expect(badgeOf(undefined, new Error("away"), false)).toMatchObject({ word: "Not verified", tone: "idle" });
  expect(badgeOf(undefined, null, true)).toMatchObject({ word: "Verifying", tone: "idle" });
});

it("names the record that is bad, or the range", () => {
  const bad = { proved: false, from: null, to: null };
  expect(badgeOf(found({ ...bad, finding: "changed", seq: 17, until: 17 }), null, false)).toEqual({ state: "failed", word: "Record 17 changed", tone: "bad" });
  expect(badgeOf(found({ ...bad, finding: "re-hashed", seq: 17, until: 40 }), null, false).word).toBe("Record 17 to 40 re-hashed");
  expect(badgeOf(found({ ...bad, finding: "wrong key" }), null, false).word).toBe("Record wrong key");
});
