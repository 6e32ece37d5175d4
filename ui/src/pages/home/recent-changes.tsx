import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { AuditRecord } from "@/api/types";
import { Empty, Failure } from "@/components/situation";
import { Ago } from "@/components/time";
import { SkeletonRows } from "@/components/ui/skeleton";
import { usePluralOf } from "@/kinds/access";
import { plural as counted } from "@/lib/format";

const SHOWN = 12;
/** What is recorded and changes nothing that anybody looks for here. */
const NO_CHANGES = new Set(["links.create", "secrets.resolve"]);

/** What somebody changed; that somebody signed in is in the audit. */
export function RecentChanges({ query }: { query: UseInfiniteQueryResult<AuditRecord[]> }) {
  const pluralOf = usePluralOf();
  if (query.isPending) return <SkeletonRows rows={4} />;
  if (query.isError && !query.data) return <Failure what="Could not read the changes" error={query.error} retry={() => void query.refetch()} />;
  const records = (query.data ?? []).filter((record) => !NO_CHANGES.has(record.action)).slice(0, SHOWN);
  if (records.length === 0) return <Empty title="No changes yet">Whatever somebody changes is written here, with who made it.</Empty>;
  return (
    <ul>
      {records.map((record) => {
        const plural = pluralOf(record.object.kind);
        const id = record.object.id ?? "";
        const name = record.object.name || id.slice(-6);
        return (
          <li key={record.id} className="flex items-baseline gap-3 border-t px-3.5 py-2 first:border-t-0 hover:bg-sunken/60">
            <Ago at={record.at} className="w-18 shrink-0 text-ink3" />
            <span className="min-w-0 break-words">
              <b className="font-[560]">{record.actor}</b> <span className="mono text-ink2">{record.action}</span>{" "}
              {plural && record.object.name ? (
                <Link to="/$plural/$name" params={{ plural, name: record.object.name }} search={{}} className="link">
                  {name}
                </Link>
              ) : /^runs?$/i.test(record.object.kind) ? (
                <Link to="/runs/$run" params={{ run: id }} search={{}} className="link">
                  {name}
                </Link>
              ) : (
                name
              )}
              {record.changes?.length ? <span className="text-ink3"> {counted(record.changes.length, "change")}</span> : null}
              {record.reason ? <span className="text-ink2"> “{record.reason}”</span> : null}
            </span>
            {record.job_id ? (
              <Link to="/jobs/$job" params={{ job: record.job_id }} className="mono ml-auto shrink-0 text-ink3 hover:text-ink hover:underline max-sm:hidden">
                job …{record.job_id.slice(-6)}
              </Link>
            ) : null}
          </li>
        );
      })}
    </ul>
  );
}
