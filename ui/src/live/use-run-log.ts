// A run's log on a page: reads the newest part, follows the rest live, and reads older parts when asked.
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { api, segment } from "@/api/client";
import type { LogPage } from "@/api/types";
import { logBuffers } from "./apply";
import { followLog } from "./connection";
import { LogBuffer } from "./log-buffer";

const PAGE = 2000;

export interface RunLog {
  buffer: LogBuffer;
  status: "loading" | "ready" | "failed";
  error: unknown;
  loadingOlder: boolean;
  loadOlder: () => Promise<void>;
  reload: () => void;
}

function readPage(run: string, query: { after?: number; before?: number; limit: number }, signal?: AbortSignal) {
  return api.get<LogPage>(`/runs/${segment(run)}/logs`, query, signal);
}

/** `focus` is a line that must be within what is read first (a permalink). */
export function useRunLog(run: string, focus: number | null = null): RunLog {
  const [buffer, setBuffer] = useState(() => new LogBuffer());
  const [status, setStatus] = useState<RunLog["status"]>("loading");
  const [error, setError] = useState<unknown>(null);
  const [loadingOlder, setLoadingOlder] = useState(false);
  const [round, setRound] = useState(0);
  const [focusAtStart] = useState(focus);

  useEffect(() => {
    const abort = new AbortController();
    const fresh = new LogBuffer();
    let unfollow = () => {};
    logBuffers.set(run, fresh);
    const begin = async () => {
      setBuffer(fresh);
      setStatus("loading");
      // The newest page, or for a permalink the page around that line; then on to the end.
      let page =
        focusAtStart === null
          ? await readPage(run, { before: 0, limit: PAGE }, abort.signal)
          : await readPage(run, { after: Math.max(0, focusAtStart - 200), limit: PAGE }, abort.signal);
      fresh.append(page.items);
      while (fresh.lastN < page.last && page.items.length > 0) {
        page = await readPage(run, { after: fresh.lastN, limit: PAGE }, abort.signal);
        fresh.append(page.items);
      }
      fresh.mark({ reachedStart: (fresh.firstN ?? 0) <= page.first });
      setStatus("ready");
      unfollow = followLog(run, fresh.lastN);
    };
    begin().catch((reason: unknown) => {
      if (abort.signal.aborted) return;
      setError(reason);
      setStatus("failed");
    });
    return () => {
      abort.abort();
      unfollow();
      if (logBuffers.get(run) === fresh) logBuffers.delete(run);
    };
  }, [run, round, focusAtStart]);

  useSyncExternalStore(buffer.subscribe, buffer.getSnapshot);

  const loadOlder = useCallback(async () => {
    const first = buffer.firstN;
    if (buffer.reachedStart || first === null) return;
    setLoadingOlder(true);
    try {
      const page = await readPage(run, { before: first, limit: PAGE });
      const added = buffer.prepend(page.items);
      const start = buffer.firstN ?? 0;
      buffer.mark({ reachedStart: added === 0 || start <= page.first });
    } catch (reason) {
      setError(reason);
    } finally {
      setLoadingOlder(false);
    }
  }, [buffer, run]);

  return { buffer, status, error, loadingOlder, loadOlder, reload: () => setRound((n) => n + 1) };
}
