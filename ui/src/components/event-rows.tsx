// Events as sentences, newest first; what an event carries beyond that opens below it.
import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import { useMemo, useState } from "react";
import type { Event } from "@/api/types";
import { usePluralOf } from "@/kinds/access";
import { cn } from "@/lib/cn";
import { inlineJson } from "@/lib/format";
import { toneOf } from "@/lib/state";
import { Id } from "./copy";
import { wordsOf } from "./event-words";
import { ListFrame } from "./list-frame";
import { Empty } from "./situation";
import { Ago, Clock } from "./time";

const DOT = { ok: "bg-ok-solid", run: "bg-run", warn: "bg-warn", bad: "bg-bad", idle: "bg-idle-solid" };

export function EventRows({ query, clock = false }: { query: UseInfiniteQueryResult<Event[]>; clock?: boolean }) {
  return (
    <ListFrame query={query} what="the events" noun="event" empty={<Empty title="No events yet">What happens is written here as it happens.</Empty>}>
      {(events) => <EventList events={events} clock={clock} />}
    </ListFrame>
  );
}

export function EventList({ events, clock = false, limit }: { events: Event[]; clock?: boolean; limit?: number }) {
  const sorted = useMemo(() => [...events].sort((a, b) => b.pos - a.pos).slice(0, limit), [events, limit]);
  return (
    <ul>
      {sorted.map((event) => (
        <EventRow key={event.pos} event={event} clock={clock} />
      ))}
    </ul>
  );
}

function Subject({ event }: { event: Event }) {
  const plural = usePluralOf()(event.kind);
  if (event.run_id && event.type.startsWith("run.")) {
    const number = event.data?.number ?? event.data?.run_number;
    return (
      <Link to="/runs/$run" params={{ run: event.run_id }} search={{}} className="link">
        {event.resource_name ?? "run"}
        {typeof number === "number" ? ` #${number}` : ""}
      </Link>
    );
  }
  if (event.job_id && event.type.startsWith("job.")) {
    return (
      <Link to="/jobs/$job" params={{ job: event.job_id }} className="link">
        {event.resource_name ?? `…${event.job_id.slice(-6)}`}
      </Link>
    );
  }
  const plan = event.data?.plan_id;
  if (event.type.startsWith("plan.") && typeof plan === "string") {
    return (
      <Link to="/plans/$plan" params={{ plan }} className="link">
        …{plan.slice(-6)}
      </Link>
    );
  }
  if (plural && event.resource_name) {
    return (
      <Link to="/$plural/$name" params={{ plural, name: event.resource_name }} search={{}} className="link">
        {event.resource_name}
      </Link>
    );
  }
  return event.resource_name ? <>{event.resource_name}</> : null;
}

export function EventRow({ event, clock }: { event: Event; clock: boolean }) {
  const [open, setOpen] = useState(false);
  const { verb, detail, state } = wordsOf(event);
  return (
    <li className="border-t first:border-t-0">
      <div className="flex items-start gap-2.5 px-3.5 py-2 hover:bg-sunken/60">
        <button
          type="button"
          aria-expanded={open}
          aria-label={`Details of ${event.type}`}
          onClick={() => setOpen(!open)}
          className="-ml-1.5 grid size-5 shrink-0 place-items-center rounded text-ink3 hover:text-ink max-sm:-my-3 max-sm:-ml-4 max-sm:-mr-2 max-sm:size-11"
        >
          <ChevronRight className={cn("size-3.5 transition-transform", open && "rotate-90")} aria-hidden />
        </button>
        {clock ? <Clock at={event.at} className="w-16 shrink-0 text-ink3" /> : <Ago at={event.at} className="w-20 shrink-0 text-ink3" />}
        <span aria-hidden className={cn("mt-[6px] size-[7px] shrink-0 rounded-full", DOT[toneOf(state)])} />
        <span className="min-w-0 break-words">
          <b className="font-[560]">{verb}</b> {clock ? null : <Subject event={event} />} {detail ? <span className="text-ink2">{detail}</span> : null}
          {event.actor && event.actor !== "observer" ? <span className="text-ink3"> by {event.actor}</span> : null}
        </span>
      </div>
      {open ? (
        <div className="space-y-1.5 border-t bg-sunken/50 px-3.5 py-2 pl-11 text-xs">
          <div className="flex flex-wrap gap-x-5 gap-y-1 text-ink3">
            <span className="mono">{event.type}</span>
            <span>position {event.pos}</span>
            {event.correlation_id ? (
              <span className="inline-flex gap-1.5">
                correlation <Id id={event.correlation_id} label="correlation id" />
              </span>
            ) : null}
          </div>
          {Object.entries(event.data ?? {}).length > 0 ? (
            <dl className="grid grid-cols-[minmax(80px,auto)_minmax(0,1fr)] gap-x-3 gap-y-0.5">
              {Object.entries(event.data).map(([key, value]) => (
                <div key={key} className="contents">
                  <dt className="text-ink3">{key}</dt>
                  <dd className="mono line-clamp-4 break-all">{inlineJson(value)}</dd>
                </div>
              ))}
            </dl>
          ) : null}
        </div>
      ) : null}
    </li>
  );
}
