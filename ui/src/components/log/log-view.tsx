// A run's log: virtualised, so that a hundred thousand lines scroll like ten; follows the end until the reader
// scrolls up; filters by stage, level and attempt; search marks and steps through matches; each line has a link.
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDownToLine, Pause } from "lucide-react";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { LogLine } from "@/api/types";
import { Empty, Failure } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { Skeleton } from "@/components/ui/skeleton";
import { cn } from "@/lib/cn";
import { useHotkeys } from "@/lib/hotkeys";
import { ALL_LINES, filterLines, isFiltering, type LogFilter, matchesOf } from "@/lib/log-filter";
import { setPreference, usePreferences } from "@/lib/preferences";
import type { RunLog } from "@/live/use-run-log";
import { LogLineRow } from "./log-line";
import { LogToolbar } from "./log-toolbar";

const LINE = 20;
const NEAR = 60;
const FOOT = 60;
/** The column of stage names is as wide as the longest, up to this many characters. */
const STAGE_CH = 24;
const DRIVER = "driver";

export interface LogViewProps {
  runId: string;
  runRef: string;
  log: RunLog;
  live: boolean;
  stages: { id: string; name: string }[];
  attempts: number;
  /** A line to stand on, from the URL. */
  focus: number | null;
  onFocus: (n: number | null) => void;
  className?: string;
  compact?: boolean;
}

export function LogView({ runId, runRef, log, live, stages, attempts, focus, onFocus, className, compact = false }: LogViewProps) {
  const { buffer } = log;
  const { wrap, zone } = usePreferences();
  const [filter, setFilter] = useState<LogFilter>(ALL_LINES);
  const [following, setFollowing] = useState(focus === null);
  const [cursor, setCursor] = useState(-1);
  const scroller = useRef<HTMLDivElement>(null);
  const searchField = useRef<HTMLInputElement>(null);
  const names = useMemo(() => new Map(stages.map((stage) => [stage.id, stage.name])), [stages]);
  const stageWidth = useMemo(() => Math.min(STAGE_CH, Math.max(DRIVER.length, ...stages.map((stage) => stage.name.length))), [stages]);

  const all = buffer.lines;
  const lines = useMemo(() => filterLines(all, filter), [all, filter]);
  const matches = useMemo(() => matchesOf(lines, filter.text), [lines, filter.text]);

  // The compiler is told to keep off: the virtualizer hands out functions that must not be memoised.
  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE,
    overscan: 30,
    // Room for the buttons that float over the end.
    paddingEnd: FOOT,
    scrollPaddingEnd: FOOT,
    getItemKey: (i) => lines[i]?.n ?? i,
  });

  // Follow: stay at the end while lines arrive.
  useLayoutEffect(() => {
    if (following && lines.length > 0) virtual.scrollToIndex(lines.length - 1, { align: "end" });
  }, [following, lines.length, virtual, wrap]);

  const jump = useCallback(
    (index: number) => {
      setFollowing(false);
      virtual.scrollToIndex(index, { align: "center" });
    },
    [virtual],
  );

  const focused = useRef<number | null>(null);
  useEffect(() => {
    if (focus === null || focused.current === focus || log.status !== "ready") return;
    const index = lines.findIndex((line) => line.n >= focus);
    if (index < 0) return;
    focused.current = focus;
    virtual.scrollToIndex(index, { align: "center" });
  }, [focus, lines, log.status, virtual]);

  // A filter over a log that is held in part: read the rest, page by page, while the filter stands.
  const { loadOlder, loadingOlder } = log;
  const searching = isFiltering(filter) || filter.text.trim() !== "";
  useEffect(() => {
    if (searching && log.status === "ready" && !buffer.reachedStart && !loadingOlder) void loadOlder();
  }, [searching, log.status, buffer, buffer.reachedStart, loadingOlder, loadOlder]);

  // Older lines come in above: what the reader looks at stays where it is.
  const anchor = useRef<{ first: number; count: number }>({ first: -1, count: 0 });
  useLayoutEffect(() => {
    const first = lines[0]?.n ?? -1;
    const before = anchor.current;
    const added = before.first > first && first >= 0 ? lines.findIndex((line) => line.n === before.first) : 0;
    if (added > 0 && !following && scroller.current) scroller.current.scrollTop += added * LINE;
    anchor.current = { first, count: lines.length };
  }, [lines, following]);

  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const fromEnd = element.scrollHeight - element.scrollTop - element.clientHeight;
    if (fromEnd > NEAR && following && element.dataset.by === "person") setFollowing(false);
    if (element.scrollTop < 400 && !buffer.reachedStart && !loadingOlder && log.status === "ready") void loadOlder();
  };
  const byPerson = () => {
    if (scroller.current) scroller.current.dataset.by = "person";
  };
  const setFollow = (next: boolean) => {
    if (scroller.current) scroller.current.dataset.by = "";
    if (next && focus !== null) onFocus(null);
    setFollowing(next);
  };

  const step = (by: 1 | -1) => {
    if (matches.length === 0) return;
    const next = cursor < 0 ? (by === 1 ? 0 : matches.length - 1) : (cursor + by + matches.length) % matches.length;
    setCursor(next);
    jump(matches[next] ?? 0);
  };
  useHotkeys({
    f: () => setFollow(!following),
    s: () => searchField.current?.focus(),
    w: () => setPreference("wrap", !wrap),
  });

  const current = cursor >= 0 ? matches[cursor] : undefined;
  return (
    <div className={cn("flex min-h-0 flex-col", className)}>
      <LogToolbar
        runId={runId}
        runRef={runRef}
        stages={stages}
        attempts={attempts}
        filter={filter}
        onFilter={(next) => {
          setFilter(next);
          setCursor(-1);
        }}
        searchField={searchField}
        matches={matches.length}
        cursor={cursor}
        onStep={step}
        wrap={wrap}
        compact={compact}
      />
      <div className="relative min-h-0 flex-1">
        {/* A scrolling region is reached by keyboard; its listeners only tell a person's scrolling from our own. */}
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
        <div
          ref={scroller}
          onScroll={onScroll}
          onWheel={byPerson}
          onTouchMove={byPerson}
          onPointerDown={byPerson}
          onKeyDown={byPerson}
          role="log"
          aria-label={`Log of ${runRef}`}
          aria-live="off"
          // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
          tabIndex={0}
          className="h-full overflow-auto overscroll-contain rounded-b-lg bg-sunken -outline-offset-2 [overflow-anchor:none]"
        >
          {log.status === "loading" && lines.length === 0 ? (
            <div className="space-y-2.5 p-3.5" role="status">
              <span className="sr-only">Loading the log</span>
              {[62, 48, 70, 55, 40, 66, 52].map((width) => (
                <Skeleton key={width} className="h-3" style={{ width: `${width}%` }} />
              ))}
            </div>
          ) : log.status === "failed" && lines.length === 0 ? (
            <Failure what="Could not read the log" error={log.error} retry={log.reload} />
          ) : lines.length === 0 ? (
            all.length === 0 ? (
              <Empty title={live ? "No lines yet" : "This run wrote no lines"}>
                {live ? "What its stages print comes here as they print it." : "Nothing was printed or logged before it ended."}
              </Empty>
            ) : (
              <Empty title="No line passes these filters" action={<Button size="sm" onClick={() => setFilter(ALL_LINES)}>Show all lines</Button>} />
            )
          ) : (
            <>
              <p className="h-6 px-3.5 pt-1 text-2xs text-ink3">
                {buffer.reachedStart ? (buffer.gap ? "older lines were trimmed" : "beginning of the log") : loadingOlder ? "reading older lines" : "older lines above"}
              </p>
              <div style={{ height: virtual.getTotalSize() }} className={cn("relative font-mono text-xs leading-5", !wrap && "min-w-max")}>
                {virtual.getVirtualItems().map((item) => {
                  const line: LogLine | undefined = lines[item.index];
                  return line ? (
                    <LogLineRow
                      key={item.key}
                      ref={wrap ? virtual.measureElement : undefined}
                      index={item.index}
                      top={item.start}
                      line={line}
                      stage={line.stage ? (names.get(line.stage) ?? line.stage) : DRIVER}
                      stageWidth={stageWidth}
                      search={filter.text}
                      marked={line.n === focus}
                      current={current === item.index}
                      wrap={wrap}
                      zone={zone}
                      onPick={() => onFocus(line.n === focus ? null : line.n)}
                    />
                  ) : null;
                })}
              </div>
            </>
          )}
        </div>
        {lines.length > 0 ? (
          <div className="pointer-events-none absolute inset-x-0 bottom-3 flex items-center justify-center gap-2">
            <span className="rounded-md border bg-panel px-2 py-1 text-2xs text-ink2 tabular-nums shadow-panel" role="status">
              {following && live && !buffer.ended ? "following" : live && !buffer.ended ? "paused" : "complete"} · {lines.length.toLocaleString("en-US")}
              {lines.length === all.length ? "" : ` of ${all.length.toLocaleString("en-US")}`} lines
            </span>
            {following && !live ? null : (
            <Button size="sm" className="pointer-events-auto" onClick={() => setFollow(!following)} aria-pressed={following}>
              {following ? <Pause aria-hidden /> : <ArrowDownToLine aria-hidden />}
              {following ? "Pause" : live ? "Follow" : "To the end"}
            </Button>
            )}
          </div>
        ) : null}
      </div>
    </div>
  );
}
