import type { ConnectionReading } from "@/api/types";
import { State } from "@/components/state";
import { Ago } from "@/components/time";

/** What a test came to: works or not, and how old that is. */
export function ReadingState({ reading, stale = false }: { reading: ConnectionReading | Omit<ConnectionReading, "code"> | null | undefined; stale?: boolean }) {
  if (!reading) return <State state="unknown" word="Never tested" />;
  return (
    <span className="inline-flex flex-wrap items-center gap-x-2">
      <State state={stale ? "stale" : reading.ok ? "healthy" : "failed"} word={reading.ok ? "Works" : "Does not work"} tone={stale ? "idle" : undefined} />
      <Ago at={reading.tested_at} className="text-ink3" />
    </span>
  );
}
