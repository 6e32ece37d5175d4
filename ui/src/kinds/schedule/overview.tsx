// A schedule at a glance: when it fires next, what its last firings came to, and its spec.
import { Link } from "@tanstack/react-router";
import type { ScheduleFiring, ScheduleStatus } from "@/api/types";
import { Panel } from "@/components/panel";
import { Empty } from "@/components/situation";
import { SpecTree } from "@/components/spec-tree";
import { State } from "@/components/state";
import { When } from "@/components/time";
import type { TabProps } from "@/kinds/registry";
import { absolute } from "@/lib/format";
import { usePreferences } from "@/lib/preferences";
import type { Tone } from "@/lib/state";

const TONES: Record<ScheduleFiring["outcome"], Tone> = { started: "ok", skipped: "warn", refused: "bad" };

export default function ScheduleOverview({ kind, resource }: TabProps) {
  // The kind's own detail; the description of any kind's has no place for it.
  const status = (resource as TabProps["resource"] & { status?: ScheduleStatus }).status;
  return (
    <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
      <div className="grid min-w-0 gap-3.5">
        {status ? <p className="text-ink2">{status.sentence}.</p> : null}
        <Panel title="Last firings" aside="ten at most, newest first">
          {status && status.firings.length > 0 ? (
            <ul>
              {status.firings.map((firing) => (
                <FiringRow key={firing.due_at} firing={firing} />
              ))}
            </ul>
          ) : (
            <Empty title="It has not fired yet">Each instant that comes due stands here with what became of it.</Empty>
          )}
        </Panel>
      </div>
      <div className="grid min-w-0 gap-3.5">
        <Panel title="Next" aside={status?.paused ? <State state="paused" /> : undefined}>
          {status && status.next.length > 0 ? (
            <ol>
              {status.next.map((at) => (
                <li key={at} className="flex flex-wrap gap-x-4 border-t px-3.5 py-2 first:border-t-0">
                  <Moment at={at} />
                  <When at={at} className="ml-auto text-ink3" />
                </li>
              ))}
            </ol>
          ) : (
            <Empty title="Nothing is to come">{resource.published ? "It is paused or archived, or has no instant left." : "It fires once it is published."}</Empty>
          )}
        </Panel>
        {resource.spec ? (
          <Panel title="Spec" aside={resource.published ? `published revision r${resource.published.number}` : undefined}>
            <SpecTree value={resource.spec} schema={kind.schema} />
          </Panel>
        ) : null}
      </div>
    </div>
  );
}

function Moment({ at }: { at: string }) {
  const { zone } = usePreferences();
  return (
    <time dateTime={at} className="mono whitespace-nowrap">
      {absolute(Date.parse(at), zone)}
    </time>
  );
}

function FiringRow({ firing }: { firing: ScheduleFiring }) {
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-1 border-t px-3.5 py-2 first:border-t-0 hover:bg-sunken/60">
      <Moment at={firing.due_at} />
      <State state={firing.outcome} tone={TONES[firing.outcome]} />
      {firing.run ? (
        <span className="flex items-center gap-2">
          <Link to="/runs/$run" params={{ run: firing.run.id }} search={{}} className="link mono">
            {firing.run.ref}
          </Link>
          <State state={firing.run.state} />
        </span>
      ) : firing.job_id ? (
        <Link to="/jobs/$job" params={{ job: firing.job_id }} className="link">
          its job
        </Link>
      ) : null}
      {firing.missed > 0 ? <span className="text-ink3">{firing.missed} missed before it</span> : null}
      {firing.message ? <span className="min-w-0 basis-full break-words text-ink2">{firing.message}</span> : null}
      <When at={firing.decided_at} className="ml-auto text-ink3" />
    </li>
  );
}
