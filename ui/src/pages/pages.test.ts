import { expect, it } from "vitest";
import type { Engine, Event, JsonSchema, Run } from "@/api/types";
import { wordsOf } from "@/components/event-words";
import { shownEngineState } from "@/components/engine-rows";
import { failingOf } from "./home/failing";
import { labelsFrom } from "./kind-detail/details";
import { exampleOf } from "./kind-new/starter";
import { codeFrom, invitationFrom } from "./sign-in/code";

it("takes the code out of a fragment or a whole link", () => {
  expect(codeFrom("#code=a%2Bb")).toBe("a+b");
  expect(codeFrom("http://127.0.0.1:7070/sign-in#code=xyz")).toBe("xyz");
  expect(codeFrom("plain")).toBeNull();
  expect(codeFrom("#other=1")).toBeNull();
  expect(invitationFrom("http://127.0.0.1:7070/sign-in#invitation=qdi_1")).toBe("qdi_1");
  expect(invitationFrom("#code=xyz")).toBeNull();
});

it("lists a resource as failing only while its newest finished run failed", () => {
  const now = Date.UTC(2026, 10, 20, 12);
  const run = (resource: string, number: number, state: string, hoursAgo: number) =>
    ({ id: `${resource}${number}`, number, state, resource: { id: resource }, created_at: "", ended_at: new Date(now - hoursAgo * 3.6e6).toISOString() }) as unknown as Run;
  const failing = failingOf(
    [run("a", 1, "failed", 2), run("a", 2, "succeeded", 1), run("b", 1, "failed", 3), run("b", 2, "stopped", 1), run("c", 1, "failed", 30), run("d", 1, "running", 0), run("d", 0, "failed", 1)],
    now,
  );
  expect(failing.map((each) => each.id)).toEqual(["d0", "b1"]);
});

it("never shows an old reading of an engine as healthy", () => {
  const engine: Engine = { name: "xenna", title: "Xenna", state: "healthy", detail: "", version: null, progress: null, observed_at: "2026-11-20T12:00:00Z" };
  const at = Date.parse(engine.observed_at);
  expect(shownEngineState(engine, at + 5000)).toBe("healthy");
  expect(shownEngineState(engine, at + 500_000)).toBe("unknown");
});

it("makes a first document from the schema of any kind", () => {
  const schema: JsonSchema = {
    type: "object",
    required: ["flavour", "size", "parts"],
    properties: { flavour: { $ref: "#/$defs/Flavour" }, size: { type: "integer", minimum: 2 }, parts: { type: "array" }, note: { type: "string" } },
    $defs: { Flavour: { type: "string", enum: ["plain", "salted"] } },
  };
  expect(exampleOf(schema, schema)).toEqual({ flavour: "plain", size: 2, parts: [] });
});

it("reads labels", () => {
  expect(labelsFrom("team:data, url:http://x, ")).toEqual({ team: "data", url: "http://x" });
  expect(labelsFrom("team")).toBeNull();
});

it("says an event it does not know by its own name", () => {
  const event = (type: string, data: Event["data"] = {}) => wordsOf({ type, data } as Event);
  expect(event("datasource.paused").verb).toBe("datasource.paused");
  expect(event("run.stopped")).toMatchObject({ verb: "Stopped", state: "stopped" });
  expect(event("revision.published", { number: 4 })).toMatchObject({ verb: "Published", detail: "r4" });
  expect(event("run.failed", { stage: "dedupe", message: "no text" }).detail).toBe("dedupe: no text");
  expect(event("run.failed", { failure: { stage: "total" }, message: "stage total, batch 7: no text" }).detail).toBe("stage total, batch 7: no text");
  expect(event("run.failure", { stage: "total", message: "no text" })).toEqual({ verb: "Failure", detail: "total: no text", state: "failed" });
});
