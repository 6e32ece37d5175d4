// The hub's world in a browser, in a worker and in a page alike.
import type { HubWorld } from "./hub";

export const browserWorld: HubWorld = {
  open: (url) => new EventSource(url, { withCredentials: true }),
  signedOut: async () => {
    try {
      const response = await fetch("/api/v1/me", { credentials: "same-origin" });
      return response.status === 401;
    } catch {
      return false;
    }
  },
  now: () => Date.now(),
  random: () => Math.random(),
  setTimeout: (run, ms) => globalThis.setTimeout(run, ms),
  clearTimeout: (id) => globalThis.clearTimeout(id),
};
