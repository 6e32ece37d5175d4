// The roles: what each is for, who holds it here, and the matrix of what it allows.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ChevronRight } from "lucide-react";
import { Fragment, useState } from "react";
import { useMay } from "@/access/may";
import { membersQuery, rolesQuery } from "@/api/queries";
import type { Member, RoleInfo, RoleMatrix } from "@/api/types";
import { AccessQuestion } from "@/components/access-question";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { Failure } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import { GrantDialog } from "@/components/role-dialogs";
import { cn } from "@/lib/cn";
import { placeOf } from "@/lib/member";
import { cellWords, type MatrixRow, rowsOf } from "./matrix";

const MANY = 500;

export default function RoleListPage() {
  const query = useQuery(rolesQuery);
  return (
    <>
      <PageHeader title="Roles" documentTitle="Roles" note={<span className="text-ink2">what each allows, and who holds it here</span>} />
      {query.isPending ? (
        <Panel>
          <SkeletonRows rows={6} />
        </Panel>
      ) : query.isError ? (
        <Panel>
          <Failure what="Could not read the roles" error={query.error} retry={() => void query.refetch()} />
        </Panel>
      ) : (
        <div className="grid grid-cols-[minmax(0,1fr)] gap-3.5">
          <Summaries roles={query.data.roles} />
          <AccessQuestion />
          <Matrix matrix={query.data} />
        </div>
      )}
    </>
  );
}

function useHolders(): ((role: string) => Member[]) | null {
  const may = useMay();
  const here = useInfiniteQuery({ ...membersQuery("tenant", MANY), enabled: may("members.list", "tenant") }).data;
  const everywhere = useInfiniteQuery({ ...membersQuery("platform", MANY), enabled: may("members.list", "platform") }).data;
  if (!here && !everywhere) return null;
  const all = [...(everywhere ?? []), ...(here ?? [])];
  return (role) => all.filter((member) => member.role === role);
}

const SHOWN = 4;

function Summaries({ roles }: { roles: RoleInfo[] }) {
  const may = useMay();
  const holders = useHolders();
  const [granting, setGranting] = useState<string | null>(null);
  const mayGrant = (role: RoleInfo) => role.levels.some((level) => may("members.grant", level === "platform" ? "platform" : "tenant"));
  return (
    <Panel title="Roles" aside={`${roles.length} roles`}>
      <ul>
        {roles.map((role) => {
          const of = holders?.(role.name) ?? [];
          return (
            <li key={role.name} className="grid items-start gap-x-4 gap-y-1 border-t px-3.5 py-2 first:border-t-0 md:items-baseline md:grid-cols-[11rem_minmax(0,1.3fr)_minmax(0,1fr)_auto]">
              <b className="mono font-[560]">{role.name}</b>
              <span className="text-ink2">
                {role.summary} <span className="text-ink3">Held {role.levels.map((level) => (level === "platform" ? "everywhere" : `in a ${level}`)).join(" or ")}.</span>
              </span>
              <span className="text-ink2">
                {holders === null ? null : of.length === 0 ? (
                  <span className="text-ink3">nobody here</span>
                ) : (
                  <>
                    {of.slice(0, SHOWN).map((member, i) => (
                      <Fragment key={`${member.name}/${member.level}/${member.project}/${member.team}`}>
                        {i > 0 ? ", " : ""}
                        <span title={placeOf(member)}>
                          <b className="font-[540] text-ink">{member.name}</b>
                          {member.project ? ` (${member.project})` : ""}
                        </span>
                      </Fragment>
                    ))}
                    {of.length > SHOWN ? ` and ${of.length - SHOWN} more` : ""}
                  </>
                )}
              </span>
              {mayGrant(role) ? (
                <Button size="sm" className="justify-self-start" aria-label={`Grant ${role.name}`} onClick={() => setGranting(role.name)}>
                  Grant…
                </Button>
              ) : (
                <span />
              )}
            </li>
          );
        })}
      </ul>
      {granting ? <GrantDialog role={granting} onClose={() => setGranting(null)} /> : null}
    </Panel>
  );
}

function Matrix({ matrix }: { matrix: RoleMatrix }) {
  const rows = rowsOf(matrix);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (plural: string) =>
    setOpen((old) => {
      const next = new Set(old);
      if (!next.delete(plural)) next.add(plural);
      return next;
    });
  return (
    <Panel title="What each allows" aside="within the place where it is held; open a row for its actions">
      <div className="relative overflow-x-auto rounded-b-lg">
        {/* A cell that stays in place keeps its own line alone. */}
        <table className="w-full border-separate border-spacing-0" aria-label="What each role allows">
          <thead>
            <tr>
              <th scope="col" className="sticky left-0 bg-panel px-3.5 py-1.5 text-left text-xs font-[520] text-ink3">
                Of
              </th>
              {matrix.roles.map((role) => (
                <th key={role.name} scope="col" title={role.summary} className="mono px-3 py-1.5 text-left text-2xs font-[520] whitespace-nowrap text-ink3">
                  {role.name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Rows key={row.plural} row={row} roles={matrix.roles} open={open.has(row.plural)} onToggle={() => toggle(row.plural)} />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Rows({ row, roles, open, onToggle }: { row: MatrixRow; roles: RoleInfo[]; open: boolean; onToggle: () => void }) {
  return (
    <>
      <tr className="hover:bg-sunken/60 *:border-t">
        <th scope="row" className="sticky left-0 bg-panel py-0.5 pr-3 pl-2 text-left font-normal">
          <button type="button" aria-expanded={open} onClick={onToggle} className="hit flex items-center gap-1.5 rounded whitespace-nowrap">
            <ChevronRight className={cn("size-3.5 text-ink3 transition-transform", open && "rotate-90")} aria-hidden />
            <span className="mono">{row.plural}</span>
          </button>
        </th>
        {roles.map((role) => {
          const allowed = row.allowed[role.name] ?? [];
          const words = cellWords(row.verbs, allowed);
          return (
            <td key={role.name} title={allowed.join(", ")} className={cn("px-3 py-1 whitespace-nowrap", words === "–" ? "text-ink3" : words === "all" ? "font-[560] text-ink" : "text-ink2")}>
              {words}
              {words === "–" ? <span className="sr-only">nothing</span> : null}
            </td>
          );
        })}
      </tr>
      {open
        ? row.verbs.map((verb) => (
            <tr key={verb} className="bg-sunken/50">
              <th scope="row" className="mono sticky left-0 bg-sunken py-1 pr-3 pl-8 text-left font-normal text-ink2">
                {verb}
              </th>
              {roles.map((role) => {
                const allowed = row.allowed[role.name]?.includes(verb);
                return (
                  <td key={role.name} className={cn("px-3 py-1", allowed ? "text-ok" : "text-ink3")}>
                    {allowed ? "yes" : "–"}
                    {allowed ? null : <span className="sr-only">no</span>}
                  </td>
                );
              })}
            </tr>
          ))
        : null}
    </>
  );
}
