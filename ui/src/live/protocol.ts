// What travels between the stream's holder (a SharedWorker, or the page itself where there is none) and pages.
import type { Event, JobFrame, LogLine, ProgressFrame } from "@/api/types";

export type LiveState = "connecting" | "live" | "reconnecting" | "signed-out";

export interface LiveStatus {
  state: LiveState;
  /** When this state began; for `reconnecting`, when the stream was last known good. */
  since: number;
}

export type LiveMessage =
  | { type: "status"; status: LiveStatus }
  | { type: "event"; event: Event }
  /** The newest numbers of a run: nothing is lost when one is missed. */
  | { type: "progress"; frame: ProgressFrame }
  /** A job came to another of its steps. */
  | { type: "job"; frame: JobFrame }
  | { type: "log"; run: string; line: LogLine }
  /** The log of a finished run has been sent in full. */
  | { type: "end"; run: string }
  /** History was trimmed, or the stream began anew: what is cached may have holes. `run` limits it to one log. */
  | { type: "gap"; run: string | null };

/** The first word of a page to the SharedWorker: whose stream it wants, by what stands before its addresses. */
export interface LiveJoin {
  type: "join";
  scope: string;
}

export type LiveRequest =
  | { type: "follow"; run: string; after: number }
  | { type: "unfollow"; run: string }
  /** Sent after sign-in: a stream that gave up tries again. */
  | { type: "wake" }
  | { type: "bye" };
