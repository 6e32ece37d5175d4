// Pages as chunks of their own. All of them are fetched once the first page stands and the browser is idle, so
// that going to another page works also while the server is away; a chunk that cannot be had is an error of that
// page and never reloads the whole console.
import { type ComponentType, type FunctionComponent, lazy } from "react";

const loads: (() => Promise<unknown>)[] = [];

export function lazyPage(load: () => Promise<{ default: ComponentType }>): FunctionComponent {
  loads.push(load);
  const Page = lazy(() => load().catch(() => load()));
  return function LazyPage() {
    return <Page />;
  };
}

export function preloadPages(): void {
  const begin = () => {
    // One that fails now is asked for again when its page is opened.
    for (const load of loads) load().catch(() => undefined);
  };
  if ("requestIdleCallback" in window) window.requestIdleCallback(begin, { timeout: 4000 });
  else setTimeout(begin, 1500);
}

/** A chunk of another build: the server was upgraded under this page. */
export function isMissingChunk(error: unknown): boolean {
  return error instanceof Error && /dynamically imported module|importing a module script failed|error loading/i.test(error.message);
}
