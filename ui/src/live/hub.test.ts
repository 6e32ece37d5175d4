import { beforeEach, describe, expect, it } from "vitest";
import { type HubWorld, LiveHub } from "./hub";
import type { LiveMessage, LiveRequest } from "./protocol";

/** A stand-in for EventSource that the test speaks through. */
class FakeSource extends EventTarget {
  readyState = 0;
  onopen: ((event: globalThis.Event) => void) | null = null;
  onerror: ((event: globalThis.Event) => void) | null = null;
  constructor(readonly url: string) {
    super();
  }
  get after() {
    return new URL(this.url, "http://x").searchParams;
  }
  open() {
    this.readyState = 1;
    this.onopen?.(new globalThis.Event("open"));
  }
  say(type: string, data: unknown) {
    this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data) }));
  }
  cut(refused = false) {
    this.readyState = refused ? 2 : 0;
    this.onerror?.(new globalThis.Event("error"));
  }
  close() {
    this.readyState = 2;
  }
}

class FakeWorld implements HubWorld {
  sources: FakeSource[] = [];
  timers = new Map<number, () => void>();
  out = false;
  private next = 1;
  open(url: string) {
    const source = new FakeSource(url);
    this.sources.push(source);
    return source as unknown as EventSource;
  }
  signedOut() {
    return Promise.resolve(this.out);
  }
  now() {
    return 1000;
  }
  random() {
    return 0.5;
  }
  setTimeout(run: () => void) {
    const id = this.next++;
    this.timers.set(id, run);
    return id;
  }
  clearTimeout(id: number) {
    this.timers.delete(id);
  }
  /** Runs everything that waits, as if its time had come. */
  pass() {
    const due = [...this.timers.values()];
    this.timers.clear();
    for (const run of due) run();
  }
  get last() {
    return this.sources.at(-1) as FakeSource;
  }
}

let world: FakeWorld;
let got: LiveMessage[];
let receive: (request: LiveRequest) => void;
let hub: LiveHub;
const events = () => got.flatMap((message) => (message.type === "event" ? [message.event.pos] : []));
const lines = () => got.flatMap((message) => (message.type === "log" ? [message.line.n] : []));
const states = () => got.flatMap((message) => (message.type === "status" ? [message.status.state] : []));

beforeEach(() => {
  world = new FakeWorld();
  got = [];
  hub = new LiveHub(world);
  receive = hub.join((batch) => got.push(...batch)).receive;
});

describe("the stream", () => {
  it("resumes from the last position after a cut, and drops what is repeated", () => {
    world.last.open();
    for (const pos of [41, 42]) world.last.say("event", { pos });
    world.last.cut();
    world.pass();
    expect(world.sources).toHaveLength(2);
    expect(world.last.after.get("after")).toBe("42");
    world.last.open();
    for (const pos of [42, 43]) world.last.say("event", { pos });
    world.pass();
    expect(events()).toEqual([41, 42, 43]);
    expect(states()).toEqual(["connecting", "live", "reconnecting", "live"]);
  });

  it("keeps every line of a followed log over many cuts", () => {
    receive({ type: "follow", run: "r1", after: 9 });
    for (let cut = 0; cut < 50; cut++) {
      const from = Number(world.last.after.get("log_after"));
      expect(world.last.after.get("logs")).toBe("r1");
      world.last.open();
      // What a server does: everything after the cursor, here with one line repeated.
      for (let n = Math.max(0, from); n < from + 4; n++) world.last.say("log", { run_id: "r1", n });
      world.last.cut();
      world.pass();
    }
    expect(lines()).toEqual(Array.from({ length: 150 }, (_, i) => i + 10));
  });

  it("says that what was read before may be old when it begins without a position", () => {
    world.last.open();
    world.pass();
    expect(got.filter((message) => message.type === "gap")).toHaveLength(1);
  });

  it("gives up when nobody is signed in, and tries again when woken", async () => {
    world.out = true;
    world.last.cut(true);
    await Promise.resolve();
    await Promise.resolve();
    world.pass();
    expect(states().at(-1)).toBe("signed-out");
    expect(world.sources).toHaveLength(1);
    receive({ type: "wake" });
    expect(world.sources).toHaveLength(2);
  });
});

describe("logs of two tabs", () => {
  it("on two runs come by two connections, each to its own tab", () => {
    const other: LiveMessage[] = [];
    const second = hub.join((batch) => other.push(...batch));
    receive({ type: "follow", run: "r1", after: 0 });
    const first = world.last;
    second.receive({ type: "follow", run: "r2", after: 3 });
    expect(world.last.url).toBe("/api/v1/runs/r2/logs?after=3");
    first.say("log", { run_id: "r1", n: 1 });
    world.last.say("log", { n: 4 });
    world.pass();
    expect(lines()).toEqual([1]);
    expect(other.flatMap((message) => (message.type === "log" ? [[message.run, message.line.n]] : []))).toEqual([["r2", 4]]);
  });

  it("on the same run go back to what the later tab holds", () => {
    receive({ type: "follow", run: "r1", after: 20 });
    world.last.say("log", { run_id: "r1", n: 21 });
    const second = hub.join(() => undefined);
    second.receive({ type: "follow", run: "r1", after: 15 });
    expect(world.last.after.get("log_after")).toBe("15");
  });

  it("stop when the last tab leaves", () => {
    receive({ type: "bye" });
    expect(world.last.readyState).toBe(2);
  });
});

it("marks a log as complete at its end, and does not ask for it again", () => {
  receive({ type: "follow", run: "r1", after: 0 });
  world.last.say("end", { run_id: "r1" });
  world.pass();
  expect(got.at(-1)).toEqual({ type: "end", run: "r1" });
});

it("connects for a tab that joins after another was signed out, once it is woken", async () => {
  world.out = true;
  world.last.cut(true);
  await Promise.resolve();
  await Promise.resolve();
  const second = hub.join(() => undefined);
  expect(world.sources).toHaveLength(1);
  second.receive({ type: "wake" });
  expect(world.sources).toHaveLength(2);
});
