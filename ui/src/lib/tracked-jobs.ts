// The jobs that were started from this browser and not yet put away: what the tray shows. Ids only; their state
// is server state and comes from the query cache.
import { useSyncExternalStore } from "react";
import { scopePrefix } from "@/api/scope";

export interface TrackedJob {
  id: string;
  title: string;
}

const KEY = `qd.jobs${scopePrefix}`;
const LIMIT = 6;
const listeners = new Set<() => void>();
let current: TrackedJob[] = read();

function read(): TrackedJob[] {
  try {
    const held = JSON.parse(localStorage.getItem(KEY) ?? "[]") as unknown;
    return Array.isArray(held) ? (held as TrackedJob[]).filter((job) => typeof job?.id === "string") : [];
  } catch {
    return [];
  }
}

function write(jobs: TrackedJob[]): void {
  current = jobs;
  try {
    localStorage.setItem(KEY, JSON.stringify(jobs));
  } catch {
    // Storage is switched off: the tray forgets on reload.
  }
  for (const listener of listeners) listener();
}

export function trackJob(job: TrackedJob): void {
  write([...current.filter((each) => each.id !== job.id), job].slice(-LIMIT));
}

export function untrackJob(id: string): void {
  if (current.some((job) => job.id === id)) write(current.filter((job) => job.id !== id));
}

export function clearTrackedJobs(): void {
  write([]);
}

function onStorage(event: StorageEvent): void {
  if (event.key !== KEY) return;
  current = read();
  for (const listener of listeners) listener();
}

export function useTrackedJobs(): TrackedJob[] {
  return useSyncExternalStore(
    (listener) => {
      if (listeners.size === 0) window.addEventListener("storage", onStorage);
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) window.removeEventListener("storage", onStorage);
      };
    },
    () => current,
  );
}
