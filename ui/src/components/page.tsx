// The frame of a page: title line, facts, tabs as links.
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef } from "react";
import { cn } from "@/lib/cn";

export function PageHeader({
  title,
  note,
  actions,
  children,
  documentTitle,
}: {
  title: ReactNode;
  note?: ReactNode;
  actions?: ReactNode;
  children?: ReactNode;
  documentTitle: string;
}) {
  useEffect(() => {
    document.title = `${documentTitle} · Quarterdeck`;
  }, [documentTitle]);
  return (
    <div className="mb-3.5">
      <div className="flex flex-wrap items-center gap-x-2.5 gap-y-2">
        <h1 className="min-w-0 text-xl font-[620] tracking-[-0.015em] break-words">{title}</h1>
        {note}
        {actions ? <div className="flex flex-wrap items-center gap-2 sm:ml-auto">{actions}</div> : null}
      </div>
      {children}
    </div>
  );
}

export interface TabItem {
  id: string;
  label: string;
  count?: number | null;
}

/** Tabs whose choice is the `tab` of the URL; arrow keys are not needed because each is a link. */
export function TabLinks({ tabs, current }: { tabs: TabItem[]; current: string }) {
  const row = useRef<HTMLElement>(null);
  // On a narrow screen the row scrolls: the chosen tab is in view.
  useEffect(() => {
    const link = row.current?.querySelector<HTMLElement>("[aria-current=page]");
    if (row.current && link) row.current.scrollLeft = link.offsetLeft - (row.current.clientWidth - link.clientWidth) / 2;
  }, [current]);
  return (
    <nav
      ref={row}
      aria-label="Sections"
      className="relative mb-3.5 flex gap-4.5 overflow-x-auto border-b [scrollbar-width:none] max-sm:[mask-image:linear-gradient(to_right,black_calc(100%-28px),transparent)] max-sm:after:w-6 max-sm:after:shrink-0"
    >
      {tabs.map((tab, i) => (
        <Link
          key={tab.id}
          to="."
          search={() => (i === 0 ? {} : { tab: tab.id })}
          // Without this the first tab, which asks for nothing, is current beside each other one.
          activeOptions={{ exact: true, includeSearch: true }}
          aria-current={tab.id === current ? "page" : undefined}
          className={cn(
            "-mb-px flex min-h-9 items-center gap-1.5 border-b-2 whitespace-nowrap -outline-offset-2 max-sm:min-h-11",
            tab.id === current
              ? "border-accent font-[560] text-ink"
              : "border-transparent text-ink2 hover:text-ink",
          )}
        >
          {tab.label}
          {tab.count ? <span className="text-xs font-normal text-ink3">{tab.count}</span> : null}
        </Link>
      ))}
    </nav>
  );
}

