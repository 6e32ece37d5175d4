// The SharedWorker: one stream for all tabs of this browser.
import { LiveHub } from "./hub";
import type { LiveRequest } from "./protocol";
import { browserWorld } from "./world";

const hub = new LiveHub(browserWorld);

self.addEventListener("connect", (event) => {
  const port = (event as MessageEvent).ports[0];
  if (!port) return;
  const client = hub.join((batch) => port.postMessage(batch));
  port.onmessage = (message: MessageEvent<LiveRequest>) => client.receive(message.data);
});
