import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Event, Run, RunMetrics, RunProgress } from "@/api/types";
import { LiveApplier, withPoint } from "./apply";

const stage = (id: string, rate: number) =>
  ({ id, name: id, state: "running", items_per_s: rate, queue_in: 4, actors: { target: 1, pending: 0, ready: 1, running: 1, idle: 1 } }) as RunProgress["stages"][number];
const progress = (rate: number): RunProgress => ({ inputs_total: 10, inputs_done: 1, outputs: 1, dropped: 0, bottleneck: null, phase: "running", stages: [stage("load", rate)] });
const event = (type: string, more: Partial<Event> = {}): Event => ({
  pos: 1, type, at: "2026-11-20T12:00:01Z", kind: "Pipeline", resource_id: "p", resource_name: "curate", run_id: null, job_id: null, actor: "owner", correlation_id: "c", data: {}, ...more,
});

let client: QueryClient;
let applier: LiveApplier;
beforeEach(() => {
  vi.useFakeTimers();
  client = new QueryClient();
  client.setQueryData(["kinds"], [{ kind: "Pipeline", plural: "pipelines" }]);
  applier = new LiveApplier(client);
});
afterEach(() => vi.useRealTimers());

const isStale = (key: unknown[]) => client.getQueryState(key)?.isInvalidated ?? false;

it("writes progress into the cached run and its charts without a request", () => {
  client.setQueryData(["run", "r1"], { id: "r1", ref: "curate#1" });
  client.setQueryData<RunMetrics>(["run-metrics", "r1"], { attempt: 1, stages: [{ id: "load", points: [] }] });
  vi.setSystemTime("2026-11-20T12:00:01Z");
  applier.batch([{ type: "progress", frame: { run_id: "r1", progress: progress(7), serving: null } }]);
  vi.advanceTimersByTime(1000);
  expect(client.getQueryData<Run>(["run", "r1"])?.progress?.stages[0]?.items_per_s).toBe(7);
  expect(client.getQueryData<RunMetrics>(["run-metrics", "r1"])?.stages[0]?.points).toEqual([{ at: "2026-11-20T12:00:01.000Z", items_per_s: 7, queue: 4, actors: 2 }]);
  expect(isStale(["run", "r1"])).toBe(false);
});

it("marks what an event touches, and nothing else", () => {
  for (const key of [["run", "r1"], ["run", "r2"], ["runs", {}], ["resource", "pipelines", "curate"], ["resource", "pipelines", "other"], ["job", "j1"], ["audit", {}]]) client.setQueryData(key, {});
  applier.batch([{ type: "event", event: event("run.succeeded", { run_id: "r1" }) }]);
  vi.advanceTimersByTime(1000);
  expect([isStale(["run", "r1"]), isStale(["runs", {}]), isStale(["resource", "pipelines", "curate"])]).toEqual([true, true, true]);
  expect([isStale(["run", "r2"]), isStale(["resource", "pipelines", "other"]), isStale(["job", "j1"])]).toEqual([false, false, false]);
});

it("marks everything but who is signed in after a gap", () => {
  client.setQueryData(["me"], {});
  client.setQueryData(["jobs", {}], {});
  vi.advanceTimersByTime(10);
  applier.batch([{ type: "gap", run: null }]);
  expect([isStale(["jobs", {}]), isStale(["me"])]).toEqual([true, false]);
});

it("adds no second point for the same moment", () => {
  const once = withPoint({ attempt: 1, stages: [] }, progress(1), "2026-11-20T12:00:01Z");
  const twice = withPoint(once, progress(2), "2026-11-20T12:00:01Z");
  expect(twice.stages[0]?.points).toHaveLength(1);
  expect(withPoint(twice, progress(3), "2026-11-20T12:00:02Z").stages[0]?.points).toHaveLength(2);
});

it("asks again after an answer that was on its way when the event came", async () => {
  let answers = 0;
  const query = { queryKey: ["jobs", {}], queryFn: () => new Promise((resolve) => setTimeout(() => resolve(++answers), 600)) };
  void client.fetchQuery(query);
  applier.batch([{ type: "event", event: event("job.running", { job_id: "j1" }) }]);
  await vi.advanceTimersByTimeAsync(500);
  expect(isStale(["jobs", {}])).toBe(false);
  await vi.advanceTimersByTimeAsync(500);
  expect([answers, isStale(["jobs", {}])]).toEqual([1, true]);
});

it("marks the job that came to another step, and what explains it", () => {
  for (const key of [["job", "j1"], ["job", "j2"], ["explain", "jobs", "j1"], ["jobs", {}]]) client.setQueryData(key, {});
  applier.batch([{ type: "job", frame: { job_id: "j1" } }]);
  vi.advanceTimersByTime(1000);
  expect([isStale(["job", "j1"]), isStale(["explain", "jobs", "j1"])]).toEqual([true, true]);
  expect([isStale(["job", "j2"]), isStale(["jobs", {}])]).toEqual([false, false]);
});

it("marks a plan that was decided on, and every plan's reasons when a resource moves", () => {
  for (const key of [["plan", "p1"], ["plan", "p2"], ["plans", {}], ["explain", "plans", "p1"], ["explain", "plans", "p2"]]) client.setQueryData(key, {});
  applier.batch([{ type: "event", event: event("plan.approved", { kind: null, resource_name: null, data: { plan_id: "p1" } }) }]);
  vi.advanceTimersByTime(1000);
  expect([isStale(["plan", "p1"]), isStale(["plans", {}]), isStale(["explain", "plans", "p1"])]).toEqual([true, true, true]);
  expect([isStale(["plan", "p2"]), isStale(["explain", "plans", "p2"])]).toEqual([false, false]);
  applier.batch([{ type: "event", event: event("revision.created") }]);
  vi.advanceTimersByTime(1000);
  expect(isStale(["explain", "plans", "p2"])).toBe(true);
});
