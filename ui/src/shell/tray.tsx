// Jobs started from this browser, live until they are finished. Those that succeed leave by themselves; those
// that fail stay until they are put away.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { X } from "lucide-react";
import { useEffect, useState } from "react";
import { ApiError } from "@/api/error";
import { jobQuery } from "@/api/queries";
import { Meter } from "@/components/panel";
import { State } from "@/components/state";
import { isJobOver } from "@/lib/state";
import { type TrackedJob, untrackJob, useTrackedJobs } from "@/lib/tracked-jobs";

const LEAVE_MS = 6000;

function TrayJob({ tracked }: { tracked: TrackedJob }) {
  const query = useQuery(jobQuery(tracked.id));
  const job = query.data;
  const gone = query.error instanceof ApiError && query.error.status === 404;
  const leaves = gone || job?.state === "succeeded";
  useEffect(() => {
    if (!leaves) return;
    const timer = setTimeout(() => untrackJob(tracked.id), gone ? 0 : LEAVE_MS);
    return () => clearTimeout(timer);
  }, [leaves, gone, tracked.id]);
  if (!job || gone) return null;

  const steps = job.steps;
  const done = steps.filter((step) => step.state === "succeeded" || step.state === "skipped").length;
  const at = steps.find((step) => step.state === "running" || step.state === "waiting" || step.state === "failed");
  const line = job.error
    ? job.error.message
    : job.waiting_for
      ? `waits for ${job.waiting_for}`
      : at
        ? `step ${steps.indexOf(at) + 1} of ${steps.length}: ${at.title || at.name}`
        : isJobOver(job.state)
          ? `${steps.length} ${steps.length === 1 ? "step" : "steps"} done`
          : "waits for a worker";
  return (
    <li className="px-3 py-2.5">
      <div className="flex items-center gap-2">
        <Link to="/jobs/$job" params={{ job: tracked.id }} className="min-w-0 truncate font-[560] hover:underline">
          {tracked.title}
        </Link>
        <State state={job.state} className="ml-auto" />
        <button
          type="button"
          aria-label={`Put away ${tracked.title}`}
          onClick={() => untrackJob(tracked.id)}
          className="-mr-1.5 grid size-6 shrink-0 place-items-center rounded text-ink3 hover:bg-sunken hover:text-ink max-sm:size-11"
        >
          <X className="size-3.5" aria-hidden />
        </button>
      </div>
      <p className={job.error ? "line-clamp-2 text-bad" : "truncate text-ink2"}>{line}</p>
      <Meter
        className="mt-2"
        label={`Progress of ${tracked.title}`}
        value={job.state === "succeeded" ? 100 : steps.length ? (done / steps.length) * 100 : 0}
        tone={job.state === "failed" ? "bad" : job.state === "succeeded" ? "ok" : "run"}
      />
    </li>
  );
}

export function Tray() {
  const jobs = useTrackedJobs();
  const [all, setAll] = useState(false);
  if (jobs.length === 0) return null;
  const shown = all ? jobs : jobs.slice(-3);
  return (
    <aside
      aria-label="Jobs started here"
      className="fixed right-4 bottom-4 z-30 w-80 max-w-[calc(100vw-32px)] rounded-lg border border-line2 bg-panel shadow-float empty:hidden"
    >
      <ul className="divide-y" aria-live="polite">
        {shown.map((job) => (
          <TrayJob key={job.id} tracked={job} />
        ))}
      </ul>
      {jobs.length > shown.length ? (
        <button type="button" className="hit w-full border-t text-xs text-ink2 hover:bg-sunken" onClick={() => setAll(true)}>
          Show {jobs.length - shown.length} more
        </button>
      ) : null}
    </aside>
  );
}
