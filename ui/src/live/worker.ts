// The SharedWorker: one stream for all tabs of this browser that work in the same tenant and project.
import { LiveHub } from "./hub";
import type { LiveJoin, LiveRequest } from "./protocol";
import { browserWorld } from "./world";

const hubs = new Map<string, LiveHub>();

function hubAt(scope: string): LiveHub {
  const held = hubs.get(scope);
  if (held) return held;
  const made = new LiveHub(browserWorld(scope));
  hubs.set(scope, made);
  return made;
}

self.addEventListener("connect", (event) => {
  const port = (event as MessageEvent).ports[0];
  if (!port) return;
  let client: ReturnType<LiveHub["join"]> | null = null;
  port.onmessage = ({ data }: MessageEvent<LiveJoin | LiveRequest>) => {
    if (data.type === "join") client ??= hubAt(data.scope).join((batch) => port.postMessage(batch));
    else client?.receive(data);
  };
});
