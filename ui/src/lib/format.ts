// Numbers, durations and times as people read them. Pure: the clock is an argument. Units are always shown;
// what is unknown is an en dash, never zero.

export const NONE = "–";

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : whole.format(value);
}

export function plural(value: number, one: string, many = one.replace(/([^aeiou])y$/, "$1ie") + "s"): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Three significant digits below 100, none after the point above. */
export function rate(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  if (value >= 100) return whole.format(value);
  if (value >= 10) return value.toFixed(1);
  return value === 0 ? "0" : value.toFixed(2);
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  if (value < 1000) return `${value} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let scaled = value / 1000;
  let unit = 0;
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return `${scaled >= 100 ? scaled.toFixed(0) : scaled.toFixed(1)} ${units[unit]}`;
}

/** `850 ms`, `4.2 s`, `48 s`, `12m 08s`, `3h 05m`, `2d 4h`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return NONE;
  const s = Math.max(0, seconds);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const total = Math.round(s);
  const two = (n: number) => String(n).padStart(2, "0");
  if (total < 3600) return `${Math.floor(total / 60)}m ${two(total % 60)}s`;
  if (total < 86_400) return `${Math.floor(total / 3600)}h ${two(Math.floor((total % 3600) / 60))}m`;
  return `${Math.floor(total / 86_400)}d ${Math.floor((total % 86_400) / 3600)}h`;
}

/** What one batch takes, from microseconds on: `9 µs`, `1.2 ms`, `63 ms`, then as `duration`. */
export function batchTime(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds >= 0.01) return duration(seconds);
  if (seconds >= 0.001) return `${(seconds * 1000).toFixed(1)} ms`;
  return `${Math.round(seconds * 1e6)} µs`;
}

/** An age or a time to come: `3 s ago`, `in 2 min`. */
export function relative(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  const size = Math.abs(seconds);
  let text: string;
  if (size < 2) return "now";
  if (size < 60) text = `${size} s`;
  else if (size < 3600) text = `${Math.round(size / 60)} min`;
  else if (size < 86_400 * 2) text = `${Math.round(size / 3600)} h`;
  else if (size < 86_400 * 60) text = `${Math.round(size / 86_400)} days`;
  else text = `${Math.round(size / (86_400 * 30))} months`;
  return seconds >= 0 ? `${text} ago` : `in ${text}`;
}

/** The age of a reading, without a word after it: `2 s`, `7 min`. */
export function age(at: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86_400 * 2) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export type Zone = "utc" | "local";

const clocks = new Map<string, Intl.DateTimeFormat>();

function formatter(key: string, options: Intl.DateTimeFormatOptions, zone: Zone): Intl.DateTimeFormat {
  const id = `${key}/${zone}`;
  let found = clocks.get(id);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone === "utc" ? "UTC" : undefined });
    clocks.set(id, found);
  }
  return found;
}

/** `2026-11-20 12:10:19 UTC` */
export function absolute(at: number, zone: Zone): string {
  const parts = formatter(
    "absolute",
    {
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      hourCycle: "h23",
      timeZoneName: "short",
    },
    zone,
  ).formatToParts(at);
  const part = (type: string) => parts.find((p) => p.type === type)?.value ?? "";
  const name = zone === "utc" ? "UTC" : part("timeZoneName");
  return `${part("year")}-${part("month")}-${part("day")} ${part("hour")}:${part("minute")}:${part("second")} ${name}`;
}

/** `12:10:19`, with `.204` where asked. */
export function clock(at: number, zone: Zone, millis = false): string {
  const text = formatter(
    "clock",
    { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    zone,
  ).format(at);
  return millis ? `${text}.${String(Math.floor(at % 1000)).padStart(3, "0")}` : text;
}

/** The first 4 and last 6 of a long id: uuid v7 ids of one moment share their head, so the tail tells them apart. */
export function shortId(id: string): string {
  return id.length > 14 ? `${id.slice(0, 4)}…${id.slice(-6)}` : id;
}

export function percent(done: number, total: number | null | undefined): number | null {
  if (!total || total <= 0) return null;
  return Math.min(100, Math.max(0, (done / total) * 100));
}

export function sentence(word: string): string {
  const spaced = word.replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

/** Text of an unknown JSON value on one line. */
export function inlineJson(value: unknown): string {
  if (value === undefined) return NONE;
  if (typeof value === "string") return value;
  return JSON.stringify(value);
}
