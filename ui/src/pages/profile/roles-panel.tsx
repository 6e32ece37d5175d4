import { useQuery } from "@tanstack/react-query";
import { heldRolesQuery } from "@/api/queries";
import { Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { Ago } from "@/components/time";
import { SkeletonRows } from "@/components/ui/skeleton";

export function RolesPanel() {
  const query = useQuery(heldRolesQuery);
  return (
    <Panel title="Roles" aside="where you hold them">
      {query.isPending ? (
        <SkeletonRows rows={2} />
      ) : query.isError ? (
        <Failure what="Could not read your roles" error={query.error} retry={() => void query.refetch()} />
      ) : query.data.length === 0 ? (
        <Empty title="You hold no role">Whoever administers a tenant can grant you one.</Empty>
      ) : (
        <ul>
          {query.data.map((held) => (
            <li key={`${held.tenant}/${held.project}/${held.role}/${held.team}`} className="flex flex-wrap items-baseline gap-x-3 border-t px-3.5 py-2 first:border-t-0">
              <b className="mono font-[560]">{held.role}</b>
              <span className="text-ink2">
                {held.level === "platform" ? "everywhere" : held.project ? `${held.tenant} / ${held.project}` : `all of ${held.tenant}`}
                {held.team ? `, through the team ${held.team}` : ""}
              </span>
              <span className="ml-auto text-xs text-ink3">
                {held.granted_by ? `by ${held.granted_by} ` : ""}
                <Ago at={held.granted_at} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
