// Times: relative with the absolute on hover, clocks, ages, elapsed. UTC unless the person chose local time.
import { absolute, age, clock, duration, NONE, relative } from "@/lib/format";
import { useNow } from "@/lib/now";
import { usePreferences } from "@/lib/preferences";

export function Ago({ at, className }: { at: string | null | undefined; className?: string }) {
  const now = useNow();
  const { zone } = usePreferences();
  if (!at) return <span className={className}>{NONE}</span>;
  const time = Date.parse(at);
  return (
    <time dateTime={at} title={absolute(time, zone)} className={className}>
      {relative(time, Math.max(now, time))}
    </time>
  );
}

/** The same of a time that may be to come: a deadline, a next look. */
export function When({ at, className }: { at: string; className?: string }) {
  const now = useNow();
  const { zone } = usePreferences();
  const time = Date.parse(at);
  return (
    <time dateTime={at} title={absolute(time, zone)} className={className}>
      {relative(time, now)}
    </time>
  );
}

/** The age of a reading; grey and marked once it is older than `staleAfter` seconds. */
export function Age({ at, staleAfter = 60 }: { at: string | null | undefined; staleAfter?: number }) {
  const now = useNow();
  const { zone } = usePreferences();
  if (!at) return <span className="text-ink3">never read</span>;
  const time = Date.parse(at);
  const old = now - time > staleAfter * 1000;
  return (
    <time dateTime={at} title={absolute(time, zone)} className={old ? "text-warn" : "text-ink3"}>
      {age(time, now)}
      {old ? " old" : ""}
    </time>
  );
}

export function Clock({ at, millis = false, className }: { at: string; millis?: boolean; className?: string }) {
  const { zone } = usePreferences();
  const time = Date.parse(at);
  return (
    <time dateTime={at} title={absolute(time, zone)} className={className}>
      {clock(time, zone, millis)}
    </time>
  );
}

export function Elapsed({ from, to }: { from: string | null | undefined; to: string | null | undefined }) {
  const now = useNow();
  if (!from) return <>{NONE}</>;
  const end = to ? Date.parse(to) : Math.max(now, Date.parse(from));
  return <>{duration((end - Date.parse(from)) / 1000)}</>;
}
