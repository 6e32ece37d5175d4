// How far the stream has been read. A resumed stream may repeat what was seen before the cut: everything at or
// below the cursor is dropped here, so that what is passed on is each event and each line once, in order.

export class StreamCursor {
  private pos: number | null = null;
  private readonly lines = new Map<string, number>();

  get position(): number | null {
    return this.pos;
  }

  acceptEvent(pos: number): boolean {
    if (this.pos !== null && pos <= this.pos) return false;
    this.pos = pos;
    return true;
  }

  acceptLine(run: string, n: number): boolean {
    const seen = this.lines.get(run);
    if (seen !== undefined && n <= seen) return false;
    this.lines.set(run, n);
    return true;
  }

  /** Where a run's log is to be resumed; 0 is its very beginning, lines count from 1. */
  lineAfter(run: string): number {
    return this.lines.get(run) ?? 0;
  }

  /** Starts or rewinds a run's log, so that lines after `n` are passed on (again). True when that moved it back. */
  rewind(run: string, n: number): boolean {
    const seen = this.lines.get(run);
    if (seen !== undefined && seen <= n) return false;
    this.lines.set(run, n);
    return seen !== undefined;
  }

  forget(run: string): void {
    this.lines.delete(run);
  }
}
