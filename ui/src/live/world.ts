// The hub's world in a browser, in a worker and in a page alike. A worker is not told where its pages work: they say.
import type { HubWorld } from "./hub";

export function browserWorld(scopePrefix: string): HubWorld {
  return {
    open: (url) => new EventSource(scopePrefix + url, { withCredentials: true }),
    signedOut: async () => {
      try {
        const response = await fetch(`${scopePrefix}/api/v1/me`, { credentials: "same-origin" });
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
}
