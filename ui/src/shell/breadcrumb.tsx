import { useQuery } from "@tanstack/react-query";
import { Link, useLocation } from "@tanstack/react-router";
import { Fragment } from "react";
import { ROOMS } from "@/access/rooms";
import { runQuery } from "@/api/queries";
import { titleOf, useKinds } from "@/kinds/access";

function labelOf(first: string): string | undefined {
  return first === "profile" ? "Profile" : ROOMS.find(({ to }) => to === `/${first}`)?.label;
}

export function Breadcrumb() {
  const { pathname } = useLocation();
  const kinds = useKinds();
  const [first = "", second, third, fourth] = pathname.split("/").filter(Boolean).map(decodeURIComponent);
  const run = useQuery({ ...runQuery(second ?? ""), enabled: first === "runs" && Boolean(second) }).data;

  const crumbs: { label: string; to?: string }[] = [];
  const kind = kinds.find((each) => each.plural === first);
  if (!first) crumbs.push({ label: "Home" });
  else crumbs.push({ label: kind ? titleOf(kind) : (labelOf(first) ?? first), to: `/${first}` });
  if (second && first === "runs" && run) {
    const plural = kinds.find((each) => each.kind === run.kind || each.plural === run.kind)?.plural;
    crumbs.push({ label: run.resource.name, to: plural ? `/${plural}/${run.resource.name}` : undefined });
    crumbs.push({ label: `#${run.number}` });
  } else if (second) {
    crumbs.push({ to: third === "review" ? `/${first}/${second}` : undefined, label: second === "new" ? "New" : first === "jobs" || first === "plans" ? `…${second.slice(-6)}` : second });
  }

  if (third === "review") crumbs.push({ label: `Review r${fourth ?? ""}` });

  return (
    <nav aria-label="Breadcrumb" className="min-w-0 truncate text-ink3">
      {crumbs.map((crumb, i) => {
        const last = i === crumbs.length - 1;
        return (
          <Fragment key={i}>
            {i > 0 ? (
              <span aria-hidden className="max-sm:hidden">
                {" / "}
              </span>
            ) : null}
            {last || !crumb.to ? (
              <span aria-current={last ? "page" : undefined} className={last ? "font-[560] text-ink" : undefined}>
                {crumb.label}
              </span>
            ) : (
              <Link to={crumb.to} className="hover:text-ink max-sm:hidden">
                {crumb.label}
              </Link>
            )}
          </Fragment>
        );
      })}
    </nav>
  );
}
