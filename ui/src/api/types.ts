// The wire shapes of the REST API, as its contract states them. Times are RFC 3339 in UTC, ids are uuid v7.
// One module, so that the generated client can take its place without touching a page.

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface Violation {
  pointer: string;
  detail: string;
  code?: string;
  line?: number | null;
  column?: number | null;
  document?: number | null;
}

export interface Problem {
  type?: string;
  title?: string;
  status: number;
  code: string;
  detail?: string;
  correlation_id?: string;
  errors?: Violation[];
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Me {
  principal: { id: string; name: string; kind: string; roles: string[] };
  tenant: { id: string; name: string };
  project: { id: string; name: string };
  permissions: string[];
}

export interface JsonSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: Json;
  enum?: Json[];
  const?: Json;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema | boolean;
  additionalProperties?: JsonSchema | boolean;
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
}

export interface KindInfo {
  kind: string;
  plural: string;
  singular: string;
  title: string;
  /** One sentence that says what such a resource is. */
  summary: string;
  /** The group of the navigation: `build`, `operate`, `understand` or `platform`. */
  group: string;
  scope: string;
  runnable: boolean;
  engine: string | null;
  actions: { verb: string; title: string; reason: boolean }[];
  /** The sub-routes that the kind has. */
  routes: string[];
  schema: JsonSchema;
  /** A small spec that is valid as it stands. */
  example: Json;
}

export type RunState = "queued" | "running" | "succeeded" | "failed" | "stopped";

export interface RunSummary {
  id: string;
  number: number;
  state: RunState;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
}

export interface Resource {
  id: string;
  kind: string;
  name: string;
  display_name: string;
  description: string;
  labels: Record<string, string>;
  tags: string[];
  owners: string[];
  teams: string[];
  state: "active" | "archived";
  /** The ETag. */
  version: number;
  created_at: string;
  created_by: string;
  updated_at: string;
  published: { number: number; published_at: string | null; spec_hash: string } | null;
  latest_revision: { number: number; state: string } | null;
  last_run: RunSummary | null;
  /** Newest first, ten at most. */
  recent_runs: RunSummary[];
  /** The working copy differs from what the newest revision was cut from. */
  changed: boolean;
}

export interface ResourceDetail extends Resource {
  /** The published spec, null before the first publish. */
  spec: JsonObject | null;
  /** What a run asks for, where it asks for anything. */
  params_schema: JsonSchema | null;
}

export interface WorkingCopy {
  spec: JsonObject;
  version: number;
  changed: boolean;
  updated_at: string;
  updated_by: string;
  base_revision: number | null;
  /** With the answer to a save, where the server checks as it saves. */
  violations?: Violation[];
}

export interface RevisionSummary {
  id: string;
  number: number;
  state: string;
  spec_hash: string;
  message: string;
  created_by: string;
  created_at: string;
  published_at: string | null;
  origin: "working_copy" | "apply" | "rollback";
}

export interface Revision extends RevisionSummary {
  spec: JsonObject;
}

export interface Change {
  pointer: string;
  op: "add" | "remove" | "replace";
  before?: Json;
  after?: Json;
}

export interface RevisionDiff {
  from: number;
  to: number;
  changes: Change[];
}

export interface StageProgress {
  id: string;
  name: string;
  state: "pending" | "running" | "succeeded" | "failed";
  actors: { target: number | null; pending: number; ready: number; running: number; idle: number };
  queue_in: number | null;
  queue_out: number | null;
  slots_used: number | null;
  slots_empty: number | null;
  items_in: number | null;
  items_out: number | null;
  dropped: number;
  items_per_s: number | null;
  process_time_s: number | null;
  cpu: number | null;
  rss_bytes: number | null;
}

export interface RunProgress {
  inputs_total: number | null;
  inputs_done: number;
  outputs: number;
  dropped: number;
  bottleneck: string | null;
  phase: string | null;
  stages: StageProgress[];
}

export interface RunFailure {
  stage: string | null;
  batch: number | null;
  batch_size: number | null;
  item: number | null;
  item_preview: string | null;
  exception: string;
  message: string;
  traceback: string | null;
}

export interface ServingStatus {
  ready: boolean;
  rate: number | null;
  p50_ms: number | null;
  p95_ms: number | null;
  queued: number;
  in_flight: number;
  answered: number;
  failed: number;
}

export interface ResultFile {
  path: string;
  bytes: number;
  /** Known for what a run reported; a listing of the folder does not count items. */
  items?: number | null;
}

export interface Attempt {
  attempt: number;
  state: string;
  external_id: string | null;
  started_at: string | null;
  ended_at: string | null;
  exit_code: number | null;
  code: string | null;
  message: string | null;
}

export interface Run {
  id: string;
  number: number;
  ref: string;
  kind: string;
  resource: { id: string; name: string };
  revision: number;
  state: RunState;
  code: string | null;
  message: string | null;
  params: JsonObject;
  engine: string;
  engine_detail: { xenna?: string | null; ray?: string | null; python?: string | null } | null;
  attempt: number;
  attempts: Attempt[];
  created_at: string;
  created_by: string | null;
  started_at: string | null;
  ended_at: string | null;
  stop_requested_at: string | null;
  usual_duration_s: number | null;
  progress: RunProgress | null;
  failure: RunFailure | null;
  serving: ServingStatus | null;
  results: { outputs: number; dropped: number; files: ResultFile[] } | null;
  job_id: string | null;
}

export interface RunMetrics {
  stages: { id: string; points: MetricPoint[] }[];
}

export interface MetricPoint {
  at: string;
  items_per_s: number | null;
  queue: number | null;
  actors: number | null;
}

export interface LogLine {
  /** From 1, dense over all attempts of a run. */
  n: number;
  attempt: number;
  stage: string | null;
  stream: string;
  level: LogLevel;
  at: string;
  text: string;
}

export type LogLevel = "debug" | "info" | "warning" | "error";

export interface LogPage {
  /** In the order of their numbers. */
  items: LogLine[];
  next: number | null;
  /** The oldest line still kept and the newest; 0 without any. */
  first: number;
  last: number;
}

export type StepState = "pending" | "running" | "waiting" | "succeeded" | "failed" | "cancelled" | "skipped";

export interface JobStep {
  name: string;
  title: string;
  state: StepState;
  attempts: number;
  started_at: string | null;
  ended_at: string | null;
  error: string | null;
  output: Json;
}

export interface Job {
  id: string;
  operation: string;
  state: string;
  resource: { kind: string; id: string; name: string } | null;
  run_id: string | null;
  reason: string;
  created_by: string;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  waiting_for: string | null;
  error: { code: string; message: string } | null;
  cancel_requested: boolean;
  steps: JobStep[];
  request_id: string;
  correlation_id: string;
}

export interface JobStarted {
  job: Job;
  run?: Run | null;
}

export interface Event {
  pos: number;
  type: string;
  at: string;
  kind: string | null;
  resource_id: string | null;
  resource_name: string | null;
  run_id: string | null;
  job_id: string | null;
  actor: string;
  correlation_id: string;
  data: JsonObject;
}

export interface EventPage {
  /** Oldest first. */
  items: Event[];
  after: number;
}

/** The newest numbers of a run, as the stream sends them between events. */
export interface ProgressFrame {
  run_id: string;
  progress: RunProgress | null;
  serving: ServingStatus | null;
}

export interface AuditRecord {
  id: string;
  at: string;
  actor: string;
  /** Socket address or internal task. */
  source: string;
  action: string;
  object: { kind: string; id: string; name: string };
  outcome: string;
  reason: string;
  changes: Change[];
  request_id: string;
  correlation_id: string;
  job_id: string | null;
}

export interface Engine {
  name: string;
  title: string;
  state: string;
  detail: string;
  observed_at: string | null;
  version: string | null;
  /** While preparing. */
  progress: { step?: number; total?: number; title?: string; detail?: string } | null;
}
