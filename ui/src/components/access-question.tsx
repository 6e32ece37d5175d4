// Who may do this, and may somebody do it: asked of the policies that decide, and answered with what decided.
import { useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useMay } from "@/access/may";
import { canIQuery, meQuery, rolesQuery, whoCanQuery } from "@/api/queries";
import type { CanI } from "@/api/types";
import { Field } from "@/components/field";
import { Panel } from "@/components/panel";
import { PrincipalInput } from "@/components/principal-input";
import { Reasons } from "@/components/reasons";
import { Empty, Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Button } from "@/components/ui/button";
import { Input, NativeSelect } from "@/components/ui/input";
import { SkeletonRows } from "@/components/ui/skeleton";

interface Question {
  action: string;
  object?: string;
  /** Nobody is everybody. */
  who?: string;
}

/** Of one resource where `of` names it: its actions alone are offered then. */
export function AccessQuestion({ of }: { of?: { plural: string; name: string } }) {
  const may = useMay();
  const me = useSuspenseQuery(meQuery).data;
  const all = useQuery(rolesQuery).data?.actions ?? [];
  const actions = of ? all.filter((action) => action.startsWith(`${of.plural}.`) && !/\.(list|create)$/.test(action)) : all;
  const mayAskOfOthers = may("members.list", "tenant");
  const [chosen, setAction] = useState("");
  const [object, setObject] = useState("");
  const [who, setWho] = useState("");
  const [asked, setAsked] = useState<Question | null>(null);
  const action = chosen || (actions[0] ?? "");
  return (
    <Panel title={mayAskOfOthers ? "Who can do this?" : "May you do this?"} aside="roles, sharing and policies together">
      <form
        className="flex flex-wrap items-end gap-3 px-3.5 py-3 *:min-w-52 *:flex-1 sm:[&>button]:min-w-0 sm:[&>button]:flex-none"
        onSubmit={(event) => {
          event.preventDefault();
          setAsked({ action, object: of ? `${of.plural}/${of.name}` : object.trim() || undefined, who: mayAskOfOthers ? who || undefined : me.principal.name });
        }}
      >
        <Field label="Action">
          <NativeSelect value={action} className="font-mono text-xs" onChange={(event) => setAction(event.target.value)}>
            {groupsOf(actions).map(([plural, names]) =>
              of ? (
                names.map((name) => <option key={name}>{name}</option>)
              ) : (
                <optgroup key={plural} label={plural}>
                  {names.map((name) => (
                    <option key={name}>{name}</option>
                  ))}
                </optgroup>
              ),
            )}
          </NativeSelect>
        </Field>
        {of ? null : (
          <Field label="To" hint="the whole project if empty">
            <Input value={object} placeholder="pipelines/curate" autoCapitalize="none" autoComplete="off" spellCheck={false} className="font-mono text-xs" onChange={(event) => setObject(event.target.value)} />
          </Field>
        )}
        {mayAskOfOthers ? (
          <Field label="Who" hint="everybody if empty">
            <PrincipalInput value={who} onChange={setWho} required={false} />
          </Field>
        ) : null}
        <Button type="submit" disabled={!action}>
          Ask
        </Button>
      </form>
      {asked ? <div className="border-t">{asked.who ? <May question={asked} who={asked.who} own={asked.who === me.principal.name} /> : <Who question={asked} />}</div> : null}
    </Panel>
  );
}

function groupsOf(actions: readonly string[]): [string, string[]][] {
  const groups = new Map<string, string[]>();
  for (const action of actions) {
    const plural = action.slice(0, action.lastIndexOf("."));
    groups.set(plural, [...(groups.get(plural) ?? []), action]);
  }
  return [...groups];
}

function Who({ question: { action, object } }: { question: Question }) {
  const query = useQuery(whoCanQuery(action, object));
  if (query.isPending) return <SkeletonRows rows={3} />;
  if (query.isError) return <Failure what="It could not be asked" error={query.error} />;
  const { items, truncated } = query.data;
  if (items.length === 0) return <Empty title="Nobody may">No role, sharing or policy allows it to anybody here.</Empty>;
  return (
    <>
      <ul aria-label={`Who may do ${action}`}>
        {items.map((able) => (
          <li key={able.principal} className="grid gap-x-4 border-t px-3.5 py-2 first:border-t-0 sm:grid-cols-[minmax(7rem,12rem)_minmax(0,1fr)]">
            <span className="min-w-0 break-words">
              <b className="font-[540]">{able.principal}</b>
              {able.kind === "service" ? <span className="ml-2 text-xs text-ink3">service</span> : null}
            </span>
            <span className="min-w-0 break-words text-ink2">
              <Reasons because={able.because} />
            </span>
          </li>
        ))}
      </ul>
      {truncated ? <p className="border-t px-3.5 py-2 text-xs text-ink3">There are more people and services than were asked about.</p> : null}
    </>
  );
}

function May({ question: { action, object }, who, own }: { question: Question; who: string; own: boolean }) {
  const query = useQuery(canIQuery(action, object, own ? undefined : who));
  if (query.isPending) return <SkeletonRows rows={2} />;
  if (query.isError) return <Failure what="It could not be asked" error={query.error} />;
  const told = query.data;
  const where = object ? (told.object ? [object] : []) : placesOf(told);
  return (
    <div role="status" className="space-y-1 px-3.5 py-3">
      <p className="flex flex-wrap items-center gap-x-2 gap-y-1">
        <State state={where.length > 0 ? "pass" : "denied"} word={where.length > 0 ? "Yes" : "No"} />
        <span className="min-w-0 break-words">
          <b className="font-[540]">{told.principal}</b> {where.length > 0 ? "may" : "may not"} <code className="mono">{told.action}</code>{" "}
          <span className="text-ink2">{where.length > 0 ? `on ${where.join(", ")}` : object ? `on ${object}` : "here"}</span>
        </span>
      </p>
      {told.because.length > 0 ? (
        <p className="break-words text-ink2">
          <Reasons because={told.because} />.
        </p>
      ) : where.length === 0 ? (
        <>
          <p className="text-ink2">Nothing allows it. {told.roles.length > 0 ? `Held here: ${told.roles.join(", ")}.` : "No role is held here."}</p>
          {told.allowed_by.length > 0 ? <p className="text-ink2">Roles that would: {told.allowed_by.join(", ")}.</p> : null}
        </>
      ) : null}
    </div>
  );
}

function placesOf({ project, tenant, platform }: CanI): string[] {
  return [project ? "the project" : "", tenant ? "the tenant" : "", platform ? "the platform" : ""].filter(Boolean);
}
