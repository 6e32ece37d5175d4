// What a live message does to the query cache. Progress carries its own numbers and is written straight into the
// cached run; everything else marks what it touches as stale, collected for a moment so that a burst of events
// costs one refetch of what is on screen.
import type { QueryClient, QueryKey } from "@tanstack/react-query";
import type { Event, KindInfo, Page, ProgressFrame, Run, RunMetrics, RunProgress } from "@/api/types";
import type { LogBuffer } from "./log-buffer";
import type { LiveMessage } from "./protocol";

/** What an event touches beside the resource that it is about. */
const FAMILIES: Record<string, QueryKey[]> = {
  secret: [["secrets"], ["secret-keys"]],
  member: [["members"], ["held-roles"]],
  team: [["teams"], ["team"], ["members"]],
  user: [["users"], ["user"]],
  tenant: [["tenants"], ["quotas"]],
  project: [["projects"], ["quotas"]],
  credential: [["credentials"]],
  token: [["credentials"]],
  session: [["credentials"]],
};

const SETTLE_MS = 250;
const MAX_POINTS = 1200;

export const logBuffers = new Map<string, LogBuffer>();

export class LiveApplier {
  private stale = new Map<string, QueryKey>();
  private timer: ReturnType<typeof setTimeout> | null = null;

  constructor(private readonly client: QueryClient) {}

  batch = (messages: LiveMessage[]): void => {
    const lines = new Map<string, Extract<LiveMessage, { type: "log" }>["line"][]>();
    for (const message of messages) {
      switch (message.type) {
        case "event":
          this.event(message.event);
          break;
        case "progress":
          this.progress(message.frame);
          break;
        case "job":
          this.mark(["job", message.frame.job_id]);
          this.mark(["explain", "jobs", message.frame.job_id]);
          break;
        case "log": {
          const held = lines.get(message.run);
          if (held) held.push(message.line);
          else lines.set(message.run, [message.line]);
          break;
        }
        case "end":
          this.lines(lines);
          logBuffers.get(message.run)?.mark({ ended: true });
          break;
        case "gap":
          if (message.run) logBuffers.get(message.run)?.mark({ gap: true });
          else this.everything();
          break;
        case "status":
          break;
      }
    }
    this.lines(lines);
  };

  private lines(collected: Map<string, Extract<LiveMessage, { type: "log" }>["line"][]>): void {
    for (const [run, lines] of collected) logBuffers.get(run)?.append(lines);
    collected.clear();
  }

  private event(event: Event): void {
    this.mark(["events"]);
    const family = event.type.slice(0, event.type.indexOf("."));
    const plural = this.pluralOf(event.kind);
    if (family === "run") {
      if (event.run_id) {
        this.mark(["explain", "runs", event.run_id]);
        this.mark(["run", event.run_id]);
        this.mark(["run-results", event.run_id]);
      }
      this.mark(["runs"]);
      // A schedule shows the states of the runs that it started.
      this.mark(["resource", "schedules"]);
    }
    if (family === "job") {
      this.mark(["jobs"]);
      if (event.job_id) {
        this.mark(["job", event.job_id]);
        this.mark(["explain", "jobs", event.job_id]);
      }
      // A run that has not begun says what its start waits for.
      if (event.run_id) this.mark(["explain", "runs", event.run_id]);
    } else if (family === "plan") {
      this.mark(["plans"]);
      if (typeof event.data.plan_id === "string") {
        this.mark(["plan", event.data.plan_id]);
        this.mark(["explain", "plans", event.data.plan_id]);
      }
    } else if (plural && event.resource_name) {
      const name = event.resource_name;
      this.mark(["resource", plural, name]);
      // What a plan rests on may have moved.
      this.mark(["explain", "plans"]);
      this.mark(["resources", plural]);
      if (family === "resource") this.mark(["sharing", plural, name]);
      if (family === "revision") {
        this.mark(["review", plural, name]);
        this.mark(["comments", plural, name]);
      }
      if (family !== "run") {
        this.mark(["working-copy", plural, name]);
        this.mark(["revisions", plural, name]);
      }
    }
    // What waits for somebody, and what he is told of, follows from what is submitted, planned and decided.
    if (family === "revision" || family === "plan") for (const key of [["inbox"], ["notifications"]]) this.mark(key);
    for (const key of FAMILIES[family] ?? []) this.mark(key);
    // Engines have no events of their own: what moves runs and jobs is read from them as well.
    if (family === "run" || family === "job") this.mark(["engines"]);
    // Every mutation writes an audit record together with its event.
    if (family !== "job") this.mark(["audit"]);
  }

  /** Writes a run's newest numbers into the cache: its page, the lists it stands in, its charts. */
  private progress({ run_id: id, progress, serving }: ProgressFrame): void {
    const update = (run: Run): Run => ({
      ...run,
      progress: progress ?? run.progress,
      serving: serving ?? run.serving,
    });
    this.client.setQueriesData<Run>({ queryKey: ["run"] }, (run) => {
      return run?.id === id ? update(run) : run;
    });
    this.client.setQueriesData<{ pages: Page<Run>[]; pageParams: unknown[] }>({ queryKey: ["runs"] }, (data) => {
      if (!data?.pages.some((page) => page.items.some((run) => run.id === id))) return data;
      return {
        ...data,
        pages: data.pages.map((page) => ({
          ...page,
          items: page.items.map((run) => (run.id === id ? update(run) : run)),
        })),
      };
    });
    if (progress) {
      this.client.setQueriesData<RunMetrics>({ queryKey: ["run-metrics", id] }, (metrics) =>
        metrics ? withPoint(metrics, progress, new Date().toISOString()) : metrics,
      );
    }
  }

  private pluralOf(kind: string | null): string | null {
    if (!kind) return null;
    const kinds = this.client.getQueryData<KindInfo[]>(["kinds"]);
    return kinds?.find((each) => each.kind === kind || each.plural === kind)?.plural ?? null;
  }

  private everything(): void {
    const now = Date.now();
    void this.client.invalidateQueries({ predicate: (query) => query.state.dataUpdatedAt < now && query.queryKey[0] !== "me" });
  }

  private mark(key: QueryKey): void {
    this.stale.set(JSON.stringify(key), key);
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.refresh();
    }, SETTLE_MS);
  }

  private refresh(): void {
    const keys = [...this.stale.values()];
    this.stale = new Map();
    for (const queryKey of keys) {
      // An answer on its way may be older than this event: it is let in, and asked for again afterwards. To
      // cancel it instead would show nothing at all for as long as events keep coming.
      if (this.client.isFetching({ queryKey }) > 0) this.mark(queryKey);
      else void this.client.invalidateQueries({ queryKey });
    }
  }
}

export function withPoint(metrics: RunMetrics, progress: RunProgress, at: string): RunMetrics {
  const known = new Map(metrics.stages.map((stage) => [stage.id, stage]));
  return {
    attempt: metrics.attempt,
    stages: progress.stages.map((stage) => {
      const points = known.get(stage.id)?.points ?? [];
      const last = points.at(-1);
      if (last && last.at >= at) return { id: stage.id, points };
      const point = {
        at,
        items_per_s: stage.items_per_s,
        queue: stage.queue_in,
        actors: stage.actors.running + stage.actors.idle,
      };
      return { id: stage.id, points: [...points, point].slice(-MAX_POINTS) };
    }),
  };
}
