// What a person chose in this browser: theme, time zone, wrapped logs. Kept in localStorage, shared between tabs;
// never server state.
import { useSyncExternalStore } from "react";
import type { Zone } from "./format";

export type Theme = "system" | "light" | "dark";

interface Preferences {
  theme: Theme;
  zone: Zone;
  wrap: boolean;
}

const listeners = new Set<() => void>();
let current: Preferences = read();

function stored(key: string): string | null {
  try {
    return localStorage.getItem(`qd.${key}`);
  } catch {
    return null;
  }
}

function narrow(): boolean {
  return window.matchMedia?.("(max-width: 640px)").matches ?? false;
}

function read(): Preferences {
  const theme = stored("theme");
  return {
    theme: theme === "light" || theme === "dark" ? theme : "system",
    zone: stored("zone") === "local" ? "local" : "utc",
    // Nobody can read a log line by line sideways on a phone.
    wrap: (stored("wrap") ?? String(narrow())) === "true",
  };
}

function paint(): void {
  const dark =
    current.theme === "dark" ||
    (current.theme === "system" && window.matchMedia?.("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark);
}

function announce(): void {
  current = read();
  paint();
  for (const listener of listeners) listener();
}

export function setPreference<K extends keyof Preferences>(key: K, value: Preferences[K]): void {
  try {
    localStorage.setItem(`qd.${key}`, String(value));
  } catch {
    // Storage is switched off: the choice lasts until the page is left.
  }
  current = { ...current, [key]: value };
  paint();
  for (const listener of listeners) listener();
}

export function watchPreferences(): void {
  window.addEventListener("storage", (event) => {
    if (event.key?.startsWith("qd.")) announce();
  });
  window.matchMedia?.("(prefers-color-scheme: dark)").addEventListener("change", announce);
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}

/** True when the page is painted dark, whoever decided it. */
export function useDark(): boolean {
  const { theme } = usePreferences();
  void theme;
  return document.documentElement.classList.contains("dark");
}
