// The API's types under the names that pages use: aliases of what is generated from docs/openapi.json. Narrowed by
// hand is only what the description leaves open: what engines report, specs and schemas of kinds, any JSON.
import type { components } from "./schema";

type Schemas = components["schemas"];
type Narrowed<T, By> = Omit<T, keyof By> & By;

// Any JSON: the description says "any value", and TypeScript's word for what `JSON.parse` gives is looser still.
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

// What of JSON Schema the forms read; the description names no schema of schemas.
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

export type Problem = Schemas["ProblemBody"];
export type ProviderList = Schemas["ProviderList"];
export type Violation = Schemas["Violation"];
export type Me = Schemas["Me"];
export type SignedIn = Schemas["SignedIn"];

// Each list has a page type of its own in the description, all of this shape.
export type Page<T> = Narrowed<Schemas["Page"], { items: T[] }>;

export type KindInfo = Narrowed<Schemas["KindEntry"], { schema: JsonSchema; example: Json }>;

export type Resource = Schemas["Resource"];
// The description has one detail for each kind that it knows; the pages take any kind.
export type ResourceDetail = Resource & { spec: JsonObject | null; params_schema: JsonSchema | null; allowed: string[] };
export type ScheduleStatus = Schemas["ScheduleStatus"];
export type ScheduleFiring = Schemas["ScheduleFiring"];
export type WorkingCopy = Narrowed<Schemas["WorkingCopy"], { spec: JsonObject }>;
export type Validation = Schemas["Validation"];
export type RevisionSummary = Schemas["RevisionSummary"];
export type Revision = Narrowed<Schemas["Revision"], { spec: JsonObject }>;
export type Change = Narrowed<Schemas["Change"], { before?: Json; after?: Json }>;
export type RevisionDiff = Narrowed<Schemas["RevisionDiff"], { changes: Change[] }>;

export type Attempt = Schemas["RunAttempt"];
export type ResultFile = Schemas["ResultFile"];
export type ResultList = Schemas["ResultList"];
export type RunMetrics = Schemas["RunCharts"];
export type MetricPoint = Schemas["ChartPoint"];
export type Run = Narrowed<
  Schemas["Run"],
  {
    params: JsonObject;
    engine_detail: EngineDetail | null;
    progress: RunProgress | null;
    failure: RunFailure | null;
    serving: ServingStatus | null;
    results: RunResults | null;
  }
>;

export type LogLevel = "debug" | "info" | "warning" | "error";
export type LogLine = Narrowed<Schemas["LogRecord"], { level: LogLevel }>;
export type LogPage = Narrowed<Schemas["LogPage"], { items: LogLine[] }>;

export type PlanStep = Narrowed<Schemas["PlanStep"], { changes: Change[] }>;
export type Gate = Schemas["Gate"];
export type Plan = Narrowed<Schemas["Plan"], { steps: PlanStep[]; preconditions: { subject: string; expected: Json }[] }>;
export type PlanSummary = Schemas["PlanSummary"];
export type StoredPlan = Narrowed<Schemas["StoredPlan"], { plan: Plan; input: Json }>;
export type PlanApplied = Narrowed<Schemas["PlanApplied"], { plan: StoredPlan }>;
export type Preview = Narrowed<Schemas["Preview"], { plan: Plan }>;
export type Explanation = Narrowed<Schemas["Explanation"], { evidence: { what: string; value: Json; at: string | null }[] }>;

export type ReviewDetail = Narrowed<Schemas["ReviewDetail"], { changes: Change[]; plan: Plan | null }>;
export type ReviewComment = Schemas["Comment"];
export type InboxItem = Schemas["InboxItem"];
export type InboxCounts = Schemas["InboxCounts"];
export type Notification = Schemas["Notification"];

export type Job = Schemas["Job"];
export type JobLock = Schemas["JobLock"];
export type JobDetail = Narrowed<Schemas["JobDetail"], { plan: Plan; audit: AuditRecord[]; events: Event[] }>;
export type JobStep = Schemas["JobStep"];
export type Applied = Pick<Schemas["ApplyResult"], "job">;
export type JobStarted = Narrowed<Schemas["Accepted"], { run: Run | null }>;

export type Event = Narrowed<Schemas["Event"], { data: JsonObject }>;
export type EventPage = Narrowed<Schemas["EventList"], { items: Event[] }>;
export type AuditRecord = Narrowed<Schemas["AuditRecord"], { changes: Change[] }>;
export type Engine = Narrowed<Schemas["EngineReading"], { progress: EngineProgress | null }>;

// People, what they may do, and where.
export type Credential = Schemas["CredentialItem"];
export type HeldRole = Schemas["HeldRole"];
export type RoleMatrix = Schemas["RoleMatrix"];
export type RoleInfo = Schemas["RoleInfo"];
export type Level = Schemas["Level"];
export type User = Schemas["User"];
export type UserCreated = Schemas["UserCreated"];
export type Invitation = Schemas["Invitation"];
export type Member = Schemas["Member"];
export type Team = Schemas["Team"];
export type TeamDetail = Schemas["TeamDetail"];
export type TenantInfo = Schemas["TenantInfo"];
/** An archive of all that a tenant has, or what became of one. */
export type TenantExport = Schemas["Export"];
export type ProjectInfo = Schemas["ProjectInfo"];
export type Quotas = Schemas["Quotas"];
export type Limits = Schemas["Limits"];
/** A token as it is shown, once. */
export type MadeToken = Schemas["ServiceToken"];

// Single resources, and questions about access.
export type Share = Schemas["Share"];
export type Holder = Schemas["Holder"];
export type Reason = Schemas["Reason"];
export type CanI = Schemas["CanI"];
export type AbleList = Schemas["AbleList"];
export type WhatIf = Schemas["WhatIf"];
export type WhatIfChange = Schemas["WhatIfChange"];

export type SecretInfo = Schemas["SecretInfo"];
export type KeyReading = Schemas["KeyReading"];
export type ConnectionReading = Schemas["ConnectionReading"];
export type ConnectionStatus = Schemas["ConnectionStatus"];

export type AuditOutcome = Schemas["Outcome"];
export type AuditChain = Schemas["AuditChain"];
export type Verification = Schemas["Verification"];

// Bodies: the description requires what the server fills in.
export type ResourceDetails = Partial<Schemas["MetadataPatch"]>;
export type PublishBody = Partial<Schemas["PublishBody"]>;
export type RollbackBody = Schemas["RollbackBody"];
export type StartBody = Partial<Schemas["StartBody"]>;
export type TokenBody = Pick<Schemas["ServiceTokenBody"], "label" | "expires_in_s" | "allows">;
export type NewUserBody = Partial<Schemas["NewUserBody"]> & { name: string };
export type UserPatch = Partial<Schemas["UserPatchBody"]>;
export type NamedBody = Schemas["NamedBody"];
export type TenantPatch = Partial<Schemas["TenantPatchBody"]>;
export type ProjectPatch = Partial<Schemas["ProjectPatchBody"]>;
export type RotatedKey = Schemas["RotatedKey"];

// A change that can be planned: what `POST /plans` takes, but for what the server fills in.
export type PlannedChange =
  | { operation: "publish"; kind: string; name: string; revision: number; reason?: string }
  | { operation: "rollback"; kind: string; name: string; to: number; reason: string }
  | { operation: "run"; kind: string; name: string; params: JsonObject }
  | { operation: "stop" | "retry"; run: string; reason?: string }
  | { operation: "apply"; documents: Json[]; publish: boolean; message?: string };

// What engines report of a run and of themselves. The server passes it on as it is, the description calls it objects.

export interface EngineDetail {
  xenna?: string | null;
  ray?: string | null;
  python?: string | null;
  /** The connection to the cluster that carries the run out. */
  connection?: string;
  /** Only while nothing is known of the run. */
  observation?: { state: string; since: string; reason: string };
}

export interface EngineProgress {
  step?: number;
  total?: number;
  title?: string;
  detail?: string;
}

export interface StageProgress {
  id: string;
  name: string;
  state: "pending" | "running" | "succeeded" | "failed" | "stopped";
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

export interface RunResults {
  outputs: number;
  dropped: number;
  /** The first 100. */
  files: (ResultFile & { items?: number | null })[];
  files_total?: number | null;
}

// Frames of the event stream, which no OpenAPI describes: that a job came to another of its steps, and the newest numbers of
// a run, between events.
export interface JobFrame {
  job_id: string;
}

export interface ProgressFrame {
  run_id: string;
  progress: RunProgress | null;
  serving: ServingStatus | null;
}
