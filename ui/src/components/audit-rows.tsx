// Audit records: who did what to which object, why, and what changed by it.
import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { AuditRecord } from "@/api/types";
import type { AuditFilters } from "@/api/queries";
import { usePluralOf } from "@/kinds/access";
import { cn } from "@/lib/cn";
import { absolute, count, plural as counted } from "@/lib/format";
import { factText } from "@/lib/plan";
import { usePreferences } from "@/lib/preferences";
import { ChangeList } from "./change-list";
import { Id } from "./copy";
import { Empty } from "./situation";
import { State } from "./state";
import { Ago } from "./time";
import { ListFrame } from "./list-frame";

export function AuditRows({ query, empty }: { query: UseInfiniteQueryResult<AuditRecord[]>; empty?: ReactNode }) {
  return (
    <ListFrame query={query} what="the audit" noun="record" empty={empty ?? <Empty title="No records yet">Every change is written here, with who made it and why.</Empty>}>
      {(records) => <AuditList records={records} />}
    </ListFrame>
  );
}

export function AuditList({ records }: { records: AuditRecord[] }) {
  return (
    <ul>
      {records.map((record) => (
        <AuditRow key={record.id} record={record} />
      ))}
    </ul>
  );
}

function ObjectName({ record }: { record: AuditRecord }) {
  const plural = usePluralOf()(record.object.kind);
  const { kind, name } = record.object;
  const id = record.object.id ?? "";
  if (plural && name) {
    return (
      <Link to="/$plural/$name" params={{ plural, name }} search={{}} className="link">
        {name}
      </Link>
    );
  }
  if (/^runs?$/i.test(kind)) {
    return (
      <Link to="/runs/$run" params={{ run: id }} search={{}} className="link">
        {name ?? "run"}
      </Link>
    );
  }
  if (/^jobs?$/i.test(kind)) {
    return (
      <Link to="/jobs/$job" params={{ job: id }} className="link">
        {name ?? "job"}
      </Link>
    );
  }
  if (/^plans?$/i.test(kind)) {
    return (
      <Link to="/plans/$plan" params={{ plan: id }} className="link">
        {name || "plan"}
      </Link>
    );
  }
  return (
    <span className="[overflow-wrap:anywhere]">
      {kind} {factText(name)}
    </span>
  );
}

function AuditRow({ record }: { record: AuditRecord }) {
  const [open, setOpen] = useState(false);
  const good = /^(ok|success|succeeded|allowed|done)$/.test(record.outcome);
  return (
    <li className="border-t first:border-t-0">
      <div className="flex items-start gap-x-3 px-3.5 py-2 hover:bg-sunken/60">
        <button
          type="button"
          aria-expanded={open}
          aria-label={`Details of ${record.action}`}
          onClick={() => setOpen(!open)}
          className="-ml-1.5 grid size-5 shrink-0 place-items-center rounded text-ink3 hover:text-ink max-sm:-my-3 max-sm:-ml-4 max-sm:-mr-2 max-sm:size-11"
        >
          <ChevronRight className={cn("size-3.5 transition-transform", open && "rotate-90")} aria-hidden />
        </button>
        <Ago at={record.at} className="w-20 shrink-0 whitespace-nowrap text-ink3" />
        <span className="min-w-0 break-words">
          <b className="font-[560]">{record.actor}</b> <span className="mono text-ink2">{record.action}</span> <ObjectName record={record} />
          {record.reason ? <span className="text-ink2"> “{record.reason}”</span> : null}
        </span>
        <span className="ml-auto flex shrink-0 items-center gap-3 sm:pl-2">
          {record.changes?.length ? <span className="text-xs text-ink3 max-sm:hidden">{counted(record.changes.length, "change")}</span> : null}
          {good ? null : <State state={/den/.test(record.outcome) ? "denied" : "failed"} word={record.outcome} />}
          {record.job_id ? (
            <Link to="/jobs/$job" params={{ job: record.job_id }} className="mono text-ink3 hover:text-ink hover:underline max-sm:hidden">
              job …{record.job_id.slice(-6)}
            </Link>
          ) : null}
        </span>
      </div>
      {open ? (
        <div className="border-t bg-sunken/50">
          {record.changes?.length ? <ChangeList changes={record.changes} /> : <p className="px-3.5 py-2 text-ink2">No field changed.</p>}
          <Terms record={record} />
        </div>
      ) : null}
    </li>
  );
}

/** All that is known of a record beside its difference; each id leads to the other records that have it. */
function Terms({ record }: { record: AuditRecord }) {
  const ids: [string, string | null | undefined, AuditFilters | null][] = [
    ["record", record.id, null],
    ["object", record.object.id, { object: record.object.id ?? undefined }],
    ["who", record.principal_id, { principal: record.principal_id ?? undefined }],
    ["job", record.job_id, { job: record.job_id ?? undefined }],
    ["plan hash", record.plan_hash, { plan_hash: record.plan_hash ?? undefined }],
    ["request", record.request_id, { request: record.request_id }],
    ["correlation", record.correlation_id, { correlation: record.correlation_id }],
    ["trace", record.trace_id, { trace: record.trace_id ?? undefined }],
  ];
  return (
    <div className="flex flex-wrap gap-x-5 gap-y-0.5 border-t px-3.5 py-2 text-xs text-ink3">
      <When at={record.at} />
      <span>outcome {record.outcome}</span>
      {record.on_behalf_of ? <span>on behalf of {record.on_behalf_of}</span> : null}
      {record.source ? <span>from {record.source}</span> : null}
      <span title={record.seal?.record_hash}>{record.seal ? `record ${count(record.seal.seq)} of its chain` : "not sealed yet"}</span>
      {ids.map(([label, id, filter]) =>
        id ? (
          <span key={label} className="inline-flex items-center gap-1.5">
            {filter ? (
              <Link to="/audit" search={filter} className="link" title={`All records with this ${label} id`}>
                {label}
              </Link>
            ) : (
              label
            )}{" "}
            <Id id={id} label={`${label} id`} />
          </span>
        ) : null,
      )}
    </div>
  );
}

function When({ at }: { at: string }) {
  const { zone } = usePreferences();
  return <time dateTime={at}>{absolute(Date.parse(at), zone)}</time>;
}
