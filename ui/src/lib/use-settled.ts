// A value that has stopped changing: what is typed is not asked for at each key.
import { useEffect, useMemo, useState } from "react";

/** The newest of the JSON values that stayed the same for `ms`; the first one at once. */
export function useSettled<T>(value: T, ms = 300): T {
  const text = JSON.stringify(value);
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), ms);
    return () => clearTimeout(timer);
  }, [text, ms]);
  return useMemo(() => JSON.parse(settled) as T, [settled]);
}
