import { ChevronDown, ChevronUp, Download, ListFilter, Search, WrapText } from "lucide-react";
import type { RefObject } from "react";
import { apiUrl, segment } from "@/api/client";
import { Button } from "@/components/ui/button";
import {
  DropdownMenu,
  DropdownMenuCheckboxItem,
  DropdownMenuContent,
  DropdownMenuRadioGroup,
  DropdownMenuRadioItem,
  DropdownMenuTrigger,
} from "@/components/ui/dropdown-menu";
import { Tooltip } from "@/components/ui/tooltip";
import { cn } from "@/lib/cn";
import { download } from "@/lib/download";
import { LEVELS, type LogFilter } from "@/lib/log-filter";
import { setPreference } from "@/lib/preferences";
import { wordOf } from "@/lib/state";
import type { LogLevel } from "@/api/types";

export function LogToolbar({
  runId,
  runRef,
  stages,
  attempts,
  filter,
  onFilter,
  searchField,
  matches,
  cursor,
  onStep,
  wrap,
  compact,
}: {
  runId: string;
  runRef: string;
  stages: { id: string; name: string }[];
  attempts: number;
  filter: LogFilter;
  onFilter: (filter: LogFilter) => void;
  searchField: RefObject<HTMLInputElement | null>;
  matches: number;
  cursor: number;
  onStep: (by: 1 | -1) => void;
  wrap: boolean;
  compact: boolean;
}) {
  const toggle = (id: string) => {
    const next = new Set(filter.stages);
    if (!next.delete(id)) next.add(id);
    onFilter({ ...filter, stages: next });
  };
  const stageWord =
    filter.stages.size === 0
      ? "All stages"
      : filter.stages.size === 1
        ? [...filter.stages].map((id) => (id === "" ? "Driver" : (stages.find((stage) => stage.id === id)?.name ?? id))).join("")
        : `${filter.stages.size} stages`;
  const levelWord = filter.level === "debug" ? "All levels" : filter.level === "error" ? "Errors" : `${wordOf(filter.level)}+`;
  const saveAs = () => {
    const only = filter.stages.size === 1 ? [...filter.stages][0] : undefined;
    const query = {
      format: "text",
      stage: only,
      level: filter.level === "debug" ? undefined : filter.level,
      attempt: filter.attempt ?? undefined,
    };
    download(apiUrl(`/runs/${segment(runId)}/logs`, query), `${runRef.replace("#", "-")}.log`);
  };
  return (
    <div className="flex flex-wrap items-center gap-1.5 border-b px-2 py-1.5">
      <div className="relative min-w-36 flex-1 sm:max-w-80">
        <Search className="absolute top-1/2 left-2 size-3.5 -translate-y-1/2 text-ink3" aria-hidden />
        <input
          ref={searchField}
          type="search"
          value={filter.text}
          onChange={(event) => onFilter({ ...filter, text: event.target.value })}
          onKeyDown={(event) => {
            if (event.key === "Enter") onStep(event.shiftKey ? -1 : 1);
            if (event.key === "Escape") event.currentTarget.blur();
          }}
          aria-label="Search in the log"
          placeholder="Search in the log"
          className="min-h-7 w-full rounded-md border border-line bg-panel pr-2 pl-7 text-xs max-sm:min-h-11"
        />
      </div>
      {filter.text.trim() ? (
        <span className="flex items-center text-xs text-ink2" role="status">
          <span className="min-w-16 text-right tabular-nums">
            {matches === 0 ? "no match" : `${cursor >= 0 ? `${cursor + 1} of ` : ""}${matches.toLocaleString("en-US")}`}
          </span>
          <Button size="inline" variant="ghost" aria-label="Previous match" onClick={() => onStep(-1)} disabled={matches === 0}>
            <ChevronUp aria-hidden />
          </Button>
          <Button size="inline" variant="ghost" aria-label="Next match" onClick={() => onStep(1)} disabled={matches === 0}>
            <ChevronDown aria-hidden />
          </Button>
        </span>
      ) : null}
      <span className="ml-auto flex items-center gap-1">
        <DropdownMenu>
          <DropdownMenuTrigger asChild>
            <Button size="sm" variant="ghost" className={cn(filter.stages.size > 0 && "text-accent")} aria-label={`${stageWord}, filter by stage`}>
              <ListFilter aria-hidden />
              <span className="max-sm:sr-only">{stageWord}</span>
            </Button>
          </DropdownMenuTrigger>
          <DropdownMenuContent align="end">
            {[...stages, { id: "", name: "No stage (driver)" }].map((stage) => (
              <DropdownMenuCheckboxItem key={stage.id} checked={filter.stages.has(stage.id)} onCheckedChange={() => toggle(stage.id)}>
                {stage.name}
              </DropdownMenuCheckboxItem>
            ))}
          </DropdownMenuContent>
        </DropdownMenu>
        <DropdownMenu>
          <DropdownMenuTrigger asChild>
            <Button size="sm" variant="ghost" className={cn(filter.level !== "debug" && "text-accent")} aria-label={`${levelWord}, filter by level`}>
              {levelWord}
            </Button>
          </DropdownMenuTrigger>
          <DropdownMenuContent align="end">
            <DropdownMenuRadioGroup value={filter.level} onValueChange={(level) => onFilter({ ...filter, level: level as LogLevel })}>
              {LEVELS.map((level) => (
                <DropdownMenuRadioItem key={level} value={level}>
                  {level === "debug" ? "All levels" : level === "error" ? "Errors only" : `${wordOf(level)} and above`}
                </DropdownMenuRadioItem>
              ))}
            </DropdownMenuRadioGroup>
          </DropdownMenuContent>
        </DropdownMenu>
        {attempts > 1 ? (
          <DropdownMenu>
            <DropdownMenuTrigger asChild>
              <Button size="sm" variant="ghost" className={cn(filter.attempt !== null && "text-accent")}>
                {filter.attempt === null ? "All attempts" : `Attempt ${filter.attempt}`}
              </Button>
            </DropdownMenuTrigger>
            <DropdownMenuContent align="end">
              <DropdownMenuRadioGroup
                value={String(filter.attempt ?? 0)}
                onValueChange={(value) => onFilter({ ...filter, attempt: value === "0" ? null : Number(value) })}
              >
                <DropdownMenuRadioItem value="0">All attempts</DropdownMenuRadioItem>
                {Array.from({ length: attempts }, (_, i) => (
                  <DropdownMenuRadioItem key={i + 1} value={String(i + 1)}>
                    Attempt {i + 1}
                  </DropdownMenuRadioItem>
                ))}
              </DropdownMenuRadioGroup>
            </DropdownMenuContent>
          </DropdownMenu>
        ) : null}
        {compact ? null : (
          <Tooltip content={wrap ? "Long lines are wrapped" : "Long lines run on"}>
            <Button size="sm" variant="ghost" aria-pressed={wrap} aria-label="Wrap long lines" className={cn(wrap && "text-accent")} onClick={() => setPreference("wrap", !wrap)}>
              <WrapText aria-hidden />
            </Button>
          </Tooltip>
        )}
        <Tooltip content="Download as text, as filtered by stage and level">
          <Button size="sm" variant="ghost" aria-label="Download the log" onClick={saveAs}>
            <Download aria-hidden />
          </Button>
        </Tooltip>
      </span>
    </div>
  );
}
