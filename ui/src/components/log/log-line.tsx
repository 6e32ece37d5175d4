import { memo, type Ref } from "react";
import type { LogLine } from "@/api/types";
import { withoutAnsi } from "@/lib/ansi";
import { cn } from "@/lib/cn";
import { absolute, clock, type Zone } from "@/lib/format";
import { splitAt } from "@/lib/log-filter";

export interface LogLineProps {
  ref?: Ref<HTMLDivElement>;
  index: number;
  top: number;
  line: LogLine;
  stage: string;
  /** Of the column of stages, in characters. */
  stageWidth: number;
  search: string;
  marked: boolean;
  current: boolean;
  wrap: boolean;
  zone: Zone;
  onPick: () => void;
}

export const LogLineRow = memo(function LogLineRow(props: LogLineProps) {
  const { ref, index, top, line, stage, stageWidth, search, marked, current, wrap, zone, onPick } = props;
  const at = Date.parse(line.at);
  const text = withoutAnsi(line.text);
  return (
    <div
      ref={ref}
      data-index={index}
      data-line={line.n}
      style={{ transform: `translateY(${top}px)` }}
      className={cn(
        "absolute inset-x-0 top-0 flex gap-2.5 px-3.5",
        wrap ? "min-h-5" : "h-5",
        line.level === "error" && "bg-bad-soft",
        current && "bg-warn-soft",
        marked && "bg-accent-soft shadow-[inset_3px_0_0_var(--accent)]",
      )}
    >
      <button
        type="button"
        tabIndex={-1}
        onClick={onPick}
        title={`line ${line.n}, ${absolute(at, zone)} – link to this line`}
        className="shrink-0 self-start text-ink3 hover:text-accent hover:underline"
      >
        <span className="max-sm:hidden">{clock(at, zone, true)}</span>
        <span className="sm:hidden">{clock(at, zone)}</span>
        <span className="sr-only">, link to line {line.n}</span>
      </button>
      <span className="shrink-0 truncate text-ink2 max-sm:hidden" style={{ width: `${stageWidth}ch` }} title={stage}>
        {stage}
      </span>
      <span
        className={cn(
          wrap ? "min-w-0 [overflow-wrap:anywhere] whitespace-pre-wrap" : "whitespace-pre",
          line.level === "error" && "text-bad",
          line.level === "warning" && "text-warn",
          line.level === "debug" && "text-ink3",
        )}
      >
        <span className="text-ink3 sm:hidden">{stage} · </span>
        {line.level === "error" || line.level === "warning" ? <span className="sr-only">{line.level}: </span> : null}
        {splitAt(text, search).map((part, i) =>
          part.hit ? (
            <mark key={i} className="rounded-[2px] bg-warn text-panel">
              {part.text}
            </mark>
          ) : (
            part.text
          ),
        )}
      </span>
    </div>
  );
});
