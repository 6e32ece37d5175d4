// How a state is shown, everywhere: a dot, the word, and the colour together.
import { cn } from "@/lib/cn";
import { type Tone, toneOf, wordOf } from "@/lib/state";

const TONE: Record<Tone, string> = {
  ok: "text-ok bg-ok-soft",
  run: "text-run bg-run-soft",
  warn: "text-warn bg-warn-soft",
  bad: "text-bad bg-bad-soft",
  idle: "text-idle bg-idle-soft",
};

export function State({
  state,
  word,
  tone,
  className,
}: {
  state: string;
  /** Another word for the same state, where the API's own would mislead. */
  word?: string;
  tone?: Tone;
  className?: string;
}) {
  const shown = tone ?? toneOf(state);
  return (
    <span
      data-state-word={state}
      className={cn(
        "inline-flex h-5 items-center gap-1.5 rounded-full pr-2 pl-[7px] text-xs font-[540] whitespace-nowrap",
        TONE[shown],
        className,
      )}
    >
      <span
        aria-hidden
        className={cn("size-[7px] rounded-full bg-current", shown === "run" && "motion-safe:animate-pulse-slow")}
      />
      {word ?? wordOf(state)}
    </span>
  );
}
