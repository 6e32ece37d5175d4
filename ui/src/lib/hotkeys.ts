// Keyboard shortcuts of the whole page. `g p` is a sequence, `mod+k` is Ctrl or ⌘. Keys typed into a field
// belong to the field, except those with `mod`.
import { useEffect, useRef } from "react";

export const isMac = typeof navigator !== "undefined" && /mac|iphone|ipad/i.test(navigator.userAgent);
export const modKey = isMac ? "⌘" : "Ctrl";

function inField(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}

export function useHotkeys(keys: Record<string, (event: KeyboardEvent) => void>): void {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    let previous = "";
    let at = 0;
    const onKey = (event: KeyboardEvent) => {
      const mod = event.ctrlKey || event.metaKey;
      if (event.altKey || event.defaultPrevented) return;
      if (inField(event.target) && !mod) return;
      const key = `${mod ? "mod+" : ""}${event.key.length === 1 ? event.key.toLowerCase() : event.key}`;
      const sequence = event.timeStamp - at < 900 && previous ? `${previous} ${key}` : "";
      const handler = (sequence && latest.current[sequence]) || latest.current[key];
      previous = key;
      at = event.timeStamp;
      if (handler) {
        event.preventDefault();
        previous = "";
        handler(event);
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
}
