// The side navigation: what this server has and one may see, and nothing else.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Fragment } from "react";
import { useMay } from "@/access/may";
import { GROUPS, roomsFor } from "@/access/rooms";
import { inboxCountsQuery, runsQuery } from "@/api/queries";
import type { KindInfo } from "@/api/types";
import { titleOf, useSeenKinds } from "@/kinds/access";
import { Brand } from "./brand";
import { ScopeSwitch } from "./scope-switch";

const item =
  "hit flex items-center justify-between rounded-md px-2.5 text-ink2 -outline-offset-2 hover:bg-sunken hover:text-ink [&.active]:bg-accent-soft [&.active]:font-[560] [&.active]:text-accent sm:min-h-[30px]";

function Group({ title }: { title: string }) {
  return <div className="mx-2.5 mt-3 mb-1 text-2xs font-[560] text-ink3">{title}</div>;
}

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

export function Nav() {
  const may = useMay();
  const kinds = useSeenKinds();
  const rooms = roomsFor(may);
  return (
    <nav aria-label="Main" className="flex flex-col gap-0.5 px-2.5 py-3">
      <Link to="/" className="mb-2 flex items-center rounded-md px-2 py-1" aria-label="Quarterdeck, home">
        <Brand />
      </Link>
      <ScopeSwitch />
      <Link to="/" activeOptions={{ exact: true }} className={item}>
        Home
      </Link>
      {GROUPS.map(([id, title]) => {
        const ofKinds = kinds.filter((kind) => groupOf(kind) === id);
        const ofRooms = rooms.filter((room) => room.group === id);
        if (ofKinds.length + ofRooms.length === 0) return null;
        return (
          <Fragment key={id}>
            <Group title={title} />
            <KindLinks kinds={ofKinds} />
            {ofRooms.map(({ to, label }) => (
              <Link key={to} to={to} activeOptions={{ includeSearch: false }} className={item}>
                {label}
                {to === "/runs" ? <Running /> : to === "/reviews" ? <ToDecide /> : null}
              </Link>
            ))}
          </Fragment>
        );
      })}
    </nav>
  );
}

/** What waits for one's decision, and what one was told of and has not read. */
function ToDecide() {
  const counts = useQuery(inboxCountsQuery).data;
  if (!counts) return null;
  if (counts.to_decide === 0) {
    return counts.unread > 0 ? (
      <span className="text-xs font-normal text-ink3" title={`${counts.unread} not read`}>
        {counts.unread}
      </span>
    ) : null;
  }
  return (
    <span data-testid="to-decide" className="rounded-full bg-accent px-1.5 text-xs font-[560] text-accent-ink" title={`${counts.to_decide} wait for your decision`}>
      {counts.to_decide}
    </span>
  );
}

function Running() {
  const running = useInfiniteQuery(runsQuery({ state: "running" }, 20)).data?.length ?? 0;
  if (running === 0) return null;
  return (
    <span className="text-xs font-normal text-ink3" title={`${running} running`}>
      {running}
    </span>
  );
}
