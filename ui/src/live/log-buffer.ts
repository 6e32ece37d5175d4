// The lines of one run's log that this page holds: a contiguous window, ordered by n, growing at its end by the
// stream and at its head by older pages. It is bounded; when full, the oldest lines are let go.
import type { LogLine } from "@/api/types";

export const MAX_LINES = 100_000;

export class LogBuffer {
  private held: LogLine[] = [];
  private readonly listeners = new Set<() => void>();
  private snapshot: { lines: readonly LogLine[]; version: number } = { lines: [], version: 0 };
  /** All of the log is held from its very first line on. */
  reachedStart = false;
  /** The run has ended and its last line is held. */
  ended = false;
  /** Lines are missing because history was trimmed. */
  gap = false;

  get lines(): readonly LogLine[] {
    return this.snapshot.lines;
  }

  get firstN(): number | null {
    return this.held[0]?.n ?? null;
  }

  get lastN(): number {
    return this.held.at(-1)?.n ?? 0;
  }

  /** Adds what is new of `lines`; returns how many that were. */
  append(lines: readonly LogLine[]): number {
    const last = this.lastN;
    const fresh = lines.filter((line) => line.n > last).sort((a, b) => a.n - b.n);
    const unique = fresh.filter((line, i) => i === 0 || line.n !== fresh[i - 1]?.n);
    if (unique.length === 0) return 0;
    // A retry goes on in the same log.
    this.ended = false;
    // Pushed in place, line by line: a spread of thousands would go over the argument limit.
    for (const line of unique) this.held.push(line);
    if (this.held.length > MAX_LINES) {
      this.held = this.held.slice(this.held.length - MAX_LINES);
      this.reachedStart = false;
    }
    this.announce();
    return unique.length;
  }

  prepend(lines: readonly LogLine[]): number {
    const first = this.firstN ?? Infinity;
    const older = lines.filter((line) => line.n < first).sort((a, b) => a.n - b.n);
    if (older.length === 0) return 0;
    this.held = [...older, ...this.held];
    this.announce();
    return older.length;
  }

  clear(): void {
    this.held = [];
    this.reachedStart = false;
    this.gap = false;
    this.announce();
  }

  mark(flags: Partial<Pick<LogBuffer, "ended" | "gap" | "reachedStart">>): void {
    Object.assign(this, flags);
    this.announce();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  getSnapshot = () => this.snapshot;

  private announce(): void {
    this.snapshot = { lines: this.held.slice(), version: this.snapshot.version + 1 };
    for (const listener of this.listeners) listener();
  }
}
