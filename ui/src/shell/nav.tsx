// The side navigation: what this server has, and nothing that it has not.
import { useInfiniteQuery, useSuspenseQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { meQuery, runsQuery } from "@/api/queries";
import type { KindInfo } from "@/api/types";
import { titleOf, useKinds } from "@/kinds/access";
import { Brand } from "./brand";

const item =
  "hit flex items-center justify-between rounded-md px-2.5 text-ink2 -outline-offset-2 hover:bg-sunken hover:text-ink [&.active]:bg-accent-soft [&.active]:font-[560] [&.active]:text-accent sm:min-h-[30px]";

function Group({ title }: { title: string }) {
  return <div className="mx-2.5 mt-3 mb-1 text-2xs font-[560] text-ink3">{title}</div>;
}

/** In this order; a kind of a group that is not known here stands under Build. */
const GROUPS: readonly [string, string][] = [
  ["build", "Build"],
  ["operate", "Operate"],
  ["understand", "Understand"],
  ["platform", "Platform"],
];

function groupOf(kind: KindInfo): string {
  return GROUPS.some(([id]) => id === kind.group) ? kind.group : "build";
}

function KindLinks({ kinds }: { kinds: KindInfo[] }) {
  return kinds.map((kind) => (
    <Link key={kind.plural} to="/$plural" params={{ plural: kind.plural }} activeOptions={{ includeSearch: false }} className={item}>
      {titleOf(kind)}
    </Link>
  ));
}

function KindGroup({ title, kinds }: { title: string; kinds: KindInfo[] }) {
  if (kinds.length === 0) return null;
  return (
    <>
      <Group title={title} />
      <KindLinks kinds={kinds} />
    </>
  );
}

export function Nav() {
  const kinds = useKinds();
  const me = useSuspenseQuery(meQuery).data;
  const running = useInfiniteQuery(runsQuery({ state: "running" }, 20)).data?.length ?? 0;
  return (
    <nav aria-label="Main" className="flex flex-col gap-0.5 px-2.5 py-3">
      <Link to="/" className="mb-2 flex items-center rounded-md px-2 py-1" aria-label="Quarterdeck, home">
        <Brand />
      </Link>
      <div className="mb-2 rounded-md border bg-sunken px-2.5 py-1.5 text-ink2" title="Tenant and project">
        <b className="font-[560] text-ink">{me.tenant.name}</b> / {me.project.name}
      </div>
      <Link to="/" activeOptions={{ exact: true }} className={item}>
        Home
      </Link>
      {GROUPS.filter(([id]) => id !== "operate").map(([id, title]) => (
        <KindGroup key={id} title={title} kinds={kinds.filter((kind) => groupOf(kind) === id)} />
      ))}
      <Group title="Operate" />
      <KindLinks kinds={kinds.filter((kind) => groupOf(kind) === "operate")} />
      <Link to="/runs" activeOptions={{ includeSearch: false }} className={item}>
        Runs
        {running > 0 ? (
          <span className="text-xs font-normal text-ink3" title={`${running} running`}>
            {running}
          </span>
        ) : null}
      </Link>
      <Link to="/jobs" activeOptions={{ includeSearch: false }} className={item}>
        Jobs
      </Link>
      <Link to="/plans" activeOptions={{ includeSearch: false }} className={item}>
        Plans
      </Link>
      <Link to="/events" activeOptions={{ includeSearch: false }} className={item}>
        Events
      </Link>
      <Link to="/audit" activeOptions={{ includeSearch: false }} className={item}>
        Audit
      </Link>
      <Link to="/engines" activeOptions={{ includeSearch: false }} className={item}>
        Engines
      </Link>
    </nav>
  );
}
