// The page's end of the stream: joins the SharedWorker, or holds the stream itself where there is none, and
// hands batches of messages to whoever listens.
import { useSyncExternalStore } from "react";
import { scopePrefix } from "@/api/scope";
import { LiveHub } from "./hub";
import type { LiveJoin, LiveMessage, LiveRequest, LiveStatus } from "./protocol";
import { browserWorld } from "./world";

let request: ((request: LiveRequest) => void) | null = null;
let status: LiveStatus = { state: "connecting", since: Date.now() };
const statusListeners = new Set<() => void>();
const follows = new Map<string, number>();
let listening = false;
let listener: (batch: LiveMessage[]) => void = () => {};

function receive(batch: LiveMessage[]): void {
  const last = batch.findLast((message) => message.type === "status");
  if (last?.type === "status") {
    status = last.status;
    for (const each of statusListeners) each();
  }
  listener(batch);
}

function join(): void {
  if (typeof SharedWorker === "function") {
    const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name: "quarterdeck-live" });
    worker.port.onmessage = (message: MessageEvent<LiveMessage[]>) => receive(message.data);
    worker.port.postMessage({ type: "join", scope: scopePrefix } satisfies LiveJoin);
    request = (message) => worker.port.postMessage(message);
  } else {
    const client = new LiveHub(browserWorld(scopePrefix)).join(receive);
    request = client.receive;
  }
}

function tell(message: LiveRequest): void {
  request?.(message);
}

export function connectLive(onBatch: (batch: LiveMessage[]) => void): void {
  listener = onBatch;
  if (!request) join();
  // A holder that was left signed out, by this tab or by another, does not try again by itself.
  tell({ type: "wake" });
  if (listening) return;
  listening = true;
  window.addEventListener("pagehide", () => tell({ type: "bye" }));
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    join();
    for (const [run, after] of follows) tell({ type: "follow", run, after });
  });
  window.addEventListener("online", () => tell({ type: "wake" }));
}

/** Leaves the stream, on sign-out. */
export function disconnectLive(): void {
  tell({ type: "bye" });
  request = null;
}

export function followLog(run: string, after: number): () => void {
  follows.set(run, after);
  tell({ type: "follow", run, after });
  return () => {
    follows.delete(run);
    tell({ type: "unfollow", run });
  };
}

export function useLiveStatus(): LiveStatus {
  return useSyncExternalStore(
    (each) => {
      statusListeners.add(each);
      return () => statusListeners.delete(each);
    },
    () => status,
  );
}
