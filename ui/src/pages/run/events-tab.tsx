import { useInfiniteQuery } from "@tanstack/react-query";
import { runEventsQuery } from "@/api/queries";
import type { Attempt } from "@/api/types";
import { Id } from "@/components/copy";
import { EventRows } from "@/components/event-rows";
import { Panel } from "@/components/panel";
import { State } from "@/components/state";
import { Clock, Elapsed } from "@/components/time";
import { NONE } from "@/lib/format";
import type { RunTabProps } from "./page";

export default function EventsTab({ run }: RunTabProps) {
  const query = useInfiniteQuery(runEventsQuery(run.id));
  return (
    <div className="grid items-start gap-3.5">
      {run.attempts.length > 0 ? (
        <Panel title="Attempts" aside="each with an engine id of its own">
          <Attempts attempts={run.attempts} />
        </Panel>
      ) : null}
      <Panel title="Events" aside="newest first">
        <EventRows query={query} clock />
      </Panel>
    </div>
  );
}

function Attempts({ attempts }: { attempts: Attempt[] }) {
  return (
    <ul>
      {[...attempts].reverse().map((attempt) => (
        <li key={attempt.attempt} className="flex flex-wrap items-center gap-x-5 gap-y-1 border-t px-3.5 py-2 first:border-t-0">
          <b className="font-[560]">Attempt {attempt.attempt}</b>
          <State state={attempt.state} />
          <span className="text-ink2">
            {attempt.started_at ? <Clock at={attempt.started_at} /> : NONE}, <Elapsed from={attempt.started_at} to={attempt.ended_at} />
          </span>
          {attempt.exit_code !== null ? <span className="text-ink2">exit code {attempt.exit_code}</span> : null}
          {attempt.message ? <span className="min-w-0 break-words text-ink2">{attempt.message}</span> : null}
          {attempt.external_id ? (
            <span className="ml-auto">
              <Id id={attempt.external_id} label="engine id" full />
            </span>
          ) : null}
        </li>
      ))}
    </ul>
  );
}
