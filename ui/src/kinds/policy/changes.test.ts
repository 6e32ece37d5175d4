import { expect, it } from "vitest";
import type { WhatIfChange } from "@/api/types";
import { groupsOf } from "./changes";

it("says in one line what changes alike, and first what is taken", () => {
  const change = (principal: string, action: string, after: boolean, policy: string): WhatIfChange => ({
    principal,
    action,
    object: null,
    before: !after,
    after,
    because: [{ policy, sentence: policy }],
  });
  const groups = groupsOf([
    change("ann", "pipelines.run", true, "policy:a#1"),
    change("bo", "pipelines.run", false, "policy:b#1"),
    change("ann", "pipelines.stop", true, "policy:a#1"),
    change("bo", "pipelines.stop", false, "policy:b#2"),
  ]);
  expect(groups.map(({ principal, actions }) => [principal, ...actions])).toEqual([
    ["bo", "pipelines.run"],
    ["bo", "pipelines.stop"],
    ["ann", "pipelines.run", "pipelines.stop"],
  ]);
});
