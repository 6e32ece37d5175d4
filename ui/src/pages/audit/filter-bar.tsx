import { useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { useEffect, useId, useState } from "react";
import { useMay } from "@/access/may";
import { type AuditFilters, type AuditReach, rolesQuery } from "@/api/queries";
import { Button } from "@/components/ui/button";
import { Input, NativeSelect } from "@/components/ui/input";
import { useSettled } from "@/lib/use-settled";
import { ID_KINDS, idOf, type IdKind, isNarrowed, kindOfId, toRfc3339, toTyped, withId } from "./filters";

const HOUR = 3_600_000;
const SPANS = [
  ["1", "Last hour"],
  ["24", "Last 24 hours"],
  ["168", "Last 7 days"],
  ["720", "Last 30 days"],
] as const;

interface TypedTexts {
  actor: string;
  action: string;
  id: string;
  kind: IdKind;
}

function textsOf(filters: AuditFilters): TypedTexts {
  const named = idOf(filters);
  return { actor: filters.actor ?? "", action: filters.action ?? "", id: named?.id ?? "", kind: named?.kind ?? "object" };
}

function applied(filters: AuditFilters, typed: TypedTexts): AuditFilters {
  const next = withId(filters, typed.kind, typed.id.trim());
  return { ...next, actor: typed.actor.trim() || undefined, action: typed.action.trim() || undefined };
}

export function FilterBar({ filters, onChange }: { filters: AuditFilters; onChange: (filters: AuditFilters) => void }) {
  // Filters that come from elsewhere (a link, the way back) are taken as what is typed.
  const [seen, setSeen] = useState(filters);
  const [typed, setTyped] = useState(() => textsOf(filters));
  const [between, setBetween] = useState(Boolean(filters.until));
  if (JSON.stringify(seen) !== JSON.stringify(filters)) {
    setSeen(filters);
    if (JSON.stringify(applied(filters, typed)) !== JSON.stringify(filters)) setTyped(textsOf(filters));
  }
  const settled = useSettled(typed);
  useEffect(() => {
    const next = applied(filters, settled);
    if (JSON.stringify(settled) === JSON.stringify(typed) && JSON.stringify(sorted(next)) !== JSON.stringify(sorted(filters))) onChange(next);
  }, [settled, typed, filters, onChange]);
  const set = (part: Partial<TypedTexts>) => setTyped((old) => ({ ...old, ...part }));
  const clear = () => {
    setTyped(textsOf({}));
    setBetween(false);
    onChange({ reach: filters.reach });
  };
  return (
    <div role="search" aria-label="Records" className="mb-3 flex flex-wrap gap-2">
      <ReachSelect value={filters.reach ?? "project"} onChange={(reach) => onChange({ ...filters, reach: reach === "project" ? undefined : reach })} />
      <Input type="search" className="w-[calc(50%-4px)] sm:w-40" placeholder="Actor" aria-label="Actor" autoCapitalize="none" spellCheck={false} value={typed.actor} onChange={(event) => set({ actor: event.target.value })} />
      <ActionInput value={typed.action} onChange={(action) => set({ action })} />
      <span className="flex w-full gap-0 sm:w-auto">
        <NativeSelect aria-label="What the id is of" className="w-32 shrink-0 rounded-r-none border-r-0" value={typed.kind} onChange={(event) => set({ kind: event.target.value as IdKind })}>
          {ID_KINDS.map(([kind, word]) => (
            <option key={kind} value={kind}>
              {word}
            </option>
          ))}
        </NativeSelect>
        <Input
          type="search"
          className="mono min-w-0 rounded-l-none sm:w-64"
          placeholder="Id or hash"
          aria-label="Id or hash"
          spellCheck={false}
          value={typed.id}
          onChange={(event) => set({ id: event.target.value, kind: kindOfId(event.target.value.trim()) ?? typed.kind })}
        />
      </span>
      <NativeSelect aria-label="Outcome" className="w-auto" value={filters.outcome ?? ""} onChange={(event) => onChange({ ...filters, outcome: event.target.value || undefined })}>
        <option value="">Any outcome</option>
        <option value="success">Done</option>
        <option value="denied">Denied</option>
        <option value="failure">Failed</option>
      </NativeSelect>
      <TimeSelect
        filters={filters}
        between={between}
        onBetween={setBetween}
        onChange={(range) => onChange({ ...filters, ...range })}
      />
      {isNarrowed(filters) || typed.id ? (
        <Button variant="ghost" onClick={clear}>
          <X aria-hidden />
          Clear
        </Button>
      ) : null}
    </div>
  );
}

function sorted(filters: AuditFilters): [string, string][] {
  return Object.entries(filters)
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .sort(([a], [b]) => a.localeCompare(b));
}

function ReachSelect({ value, onChange }: { value: AuditReach; onChange: (reach: AuditReach) => void }) {
  const may = useMay();
  const reaches = [
    ["project", "This project"],
    ...(may("audit.export", "tenant") ? [["tenant", "All of the tenant"]] : []),
    ...(may("audit.export", "platform") ? [["platform", "The platform itself"]] : []),
  ];
  if (reaches.length === 1) return null;
  return (
    <NativeSelect aria-label="Whose records" className="w-auto" value={value} onChange={(event) => onChange(event.target.value as AuditReach)}>
      {reaches.map(([reach, word]) => (
        <option key={reach} value={reach}>
          {word}
        </option>
      ))}
    </NativeSelect>
  );
}

function ActionInput({ value, onChange }: { value: string; onChange: (action: string) => void }) {
  const actions = useQuery(rolesQuery).data?.actions ?? [];
  const known = useId();
  return (
    <>
      <Input
        type="search"
        className="mono w-full sm:w-48"
        placeholder="Action"
        aria-label="Action"
        list={known}
        spellCheck={false}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
      <datalist id={known}>
        {actions.map((action) => (
          <option key={action} value={action} />
        ))}
      </datalist>
    </>
  );
}

function TimeSelect({
  filters,
  between,
  onBetween,
  onChange,
}: {
  filters: AuditFilters;
  between: boolean;
  onBetween: (between: boolean) => void;
  onChange: (range: Pick<AuditFilters, "since" | "until">) => void;
}) {
  const [span, setSpan] = useState("");
  const shown = between ? "between" : filters.since ? span || "between" : "";
  return (
    <>
      <NativeSelect
        aria-label="Time"
        className="w-auto"
        value={shown}
        onChange={(event) => {
          const chosen = event.target.value;
          setSpan(chosen);
          onBetween(chosen === "between");
          if (chosen === "") onChange({ since: undefined, until: undefined });
          else if (chosen !== "between") onChange({ since: new Date(Date.now() - Number(chosen) * HOUR).toISOString(), until: undefined });
        }}
      >
        <option value="">Any time</option>
        {SPANS.map(([hours, word]) => (
          <option key={hours} value={hours}>
            {word}
          </option>
        ))}
        <option value="between">Between…</option>
      </NativeSelect>
      {shown === "between" ? (
        <>
          <Input type="datetime-local" className="w-auto" aria-label="From, UTC" value={toTyped(filters.since)} onChange={(event) => onChange({ since: toRfc3339(event.target.value), until: filters.until })} />
          <Input type="datetime-local" className="w-auto" aria-label="Until, UTC" value={toTyped(filters.until)} onChange={(event) => onChange({ since: filters.since, until: toRfc3339(event.target.value) })} />
          <span className="self-center text-xs text-ink3">UTC</span>
        </>
      ) : null}
    </>
  );
}
