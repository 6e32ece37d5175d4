// What waits for somebody, in one line each: what it is, who asks, and the way to decide.
import { useSuspenseQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { meQuery } from "@/api/queries";
import { prefixOf } from "@/api/scope";
import type { InboxItem } from "@/api/types";
import { ReviewLink } from "@/components/review-link";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { usePluralOf } from "@/kinds/access";

const STATES: Record<InboxItem["what"], [string, string]> = {
  review: ["in_review", "To review"],
  plan: ["in_review", "Plan to approve"],
  approved: ["approved", "Approved"],
  rejected: ["rejected", "Rejected"],
};

export function InboxRows({ items }: { items: InboxItem[] }) {
  return (
    <ul>
      {items.map((item) => (
        <InboxRow key={`${item.what}/${item.id}`} item={item} />
      ))}
    </ul>
  );
}

function InboxRow({ item }: { item: InboxItem }) {
  const pluralOf = usePluralOf();
  const [state, word] = STATES[item.what];
  const own = item.what === "approved" || item.what === "rejected";
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-1 border-t px-3.5 py-2 first:border-t-0 hover:bg-sunken/60">
      <div className="min-w-0 flex-1 basis-60">
        {item.name !== null && item.revision !== null ? (
          <ReviewLink plural={pluralOf(item.kind)} name={item.name} number={item.revision} project={item.project} />
        ) : (
          <PlanLink item={item} />
        )}
        <div className="text-ink2">
          {own ? `${word.toLowerCase()} by` : item.what === "plan" ? "planned by" : "review asked by"} <b className="font-[540] text-ink">{item.by}</b> <Ago at={item.at} />
          {item.message ? <span className="break-words">: “{item.message}”</span> : null}
        </div>
      </div>
      <State state={state} word={word} />
    </li>
  );
}

function PlanLink({ item }: { item: InboxItem }) {
  const me = useSuspenseQuery(meQuery).data;
  const id = item.plan_id ?? item.id;
  if (item.project === me.project.name) {
    return (
      <Link to="/plans/$plan" params={{ plan: id }} className="link font-[540]">
        plan of {item.target}
      </Link>
    );
  }
  return (
    <>
      <a href={`${prefixOf({ tenant: me.tenant.name, project: item.project })}/plans/${id}`} className="link font-[540]">
        plan of {item.target}
      </a>{" "}
      <span className="text-ink3">in {item.project}</span>
    </>
  );
}
