// An event in words: a verb, what it adds, and the state whose colour its dot takes. Types that are not known
// here are shown by their own name, so that a new plane's events need nothing from this file.
import type { Event, Json } from "@/api/types";
import { count } from "@/lib/format";

export interface EventWords {
  verb: string;
  detail: string;
  state: string;
}

function text(value: Json | undefined): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function revisionOf(data: Event["data"]): string {
  const number = text(data.number ?? data.revision);
  return number ? `r${number}` : "";
}

/** The stage of a failure, where the event carries one. */
function failedStage(data: Event["data"]): string {
  const failure = data.failure;
  const nested = typeof failure === "object" && failure !== null && !Array.isArray(failure) ? failure.stage : undefined;
  return text(data.stage) || text(nested);
}

const VERBS: Record<string, string> = {
  "resource.created": "Created",
  "resource.updated": "Updated",
  "resource.archived": "Archived",
  "resource.restored": "Restored",
  "working_copy.updated": "Working copy saved",
  "code.created": "Code stored",
  "link.created": "Sign-in link made",
  "revision.created": "Revision cut",
  "revision.published": "Published",
  "revision.unpublished": "Taken back",
  "token.created": "Token made",
  "connection.tested": "Tested",
  "secret.written": "Secret written",
  "secret.deleted": "Secret deleted",
  "plan.created": "Plan made",
  "plan.approved": "Plan approved",
  "plan.rejected": "Plan rejected",
  "plan.stale": "Plan stale",
  "plan.applied": "Plan applied",
  "run.attempt": "Attempt",
  "run.dropped": "Dropped",
  "run.stages": "Stages set up",
  "run.stop_requested": "Stop asked",
  "run.bottleneck": "Bottleneck",
};

export function wordsOf(event: Event): EventWords {
  const data = event.data ?? {};
  const [family = "", what = ""] = event.type.split(/\.(.*)/s);
  const message = text(data.message) || text(data.detail) || text(data.reason);
  switch (event.type) {
    case "revision.created":
    case "revision.published":
      return { verb: VERBS[event.type] ?? what, detail: [revisionOf(data), text(data.message)].filter(Boolean).join(" "), state: "published" };
    case "run.attempt":
      return { verb: `Attempt ${text(data.attempt)}`.trim(), detail: [text(data.state), message].filter(Boolean).join(": "), state: text(data.state) };
    case "run.dropped":
      return {
        verb: `Dropped ${typeof data.items === "number" ? count(data.items) : ""}`.trim(),
        detail: [data.stage ? `in ${text(data.stage)}` : "", text(data.error)].filter(Boolean).join(": "),
        state: "waiting",
      };
    case "run.failed":
    case "run.failure": {
      const stage = failedStage(data);
      // The run's own message begins with its stage.
      const detail = message.startsWith(`stage ${stage},`) ? [message] : [stage, message || text(data.code)];
      return { verb: event.type === "run.failed" ? "Failed" : "Failure", detail: detail.filter(Boolean).join(": "), state: "failed" };
    }
    case "connection.tested":
      return { verb: data.ok === true ? "Tested, works" : "Tested, does not work", detail: message, state: data.ok === true ? "healthy" : "failed" };
    case "run.phase":
      return { verb: "Phase", detail: text(data.phase), state: "running" };
    default:
  }
  if (family === "run" || family === "job") {
    const word = VERBS[event.type] ?? what.replaceAll("_", " ");
    // A job's words stand beside those of the run that it is about: it says that it is a job, and which.
    const said = family === "job" ? `Job ${text(data.operation)} ${word}`.replace("  ", " ") : word;
    const verb = said.charAt(0).toUpperCase() + said.slice(1);
    const detail = family === "job" && what === "waiting" ? `for ${text(data.waiting_for) || message}` : message;
    return { verb, detail, state: what };
  }
  if (family === "plan") {
    const why = text(data.why) || text(data.reason);
    return { verb: VERBS[event.type] ?? event.type, detail: [text(data.operation), why].filter(Boolean).join(": "), state: what === "created" ? "open" : what };
  }
  const known = VERBS[event.type];
  return { verb: known ?? event.type, detail: message, state: known ? "idle" : what };
}
