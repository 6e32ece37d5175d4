// STAND-IN. Made-up data in the shapes of the API contract, for looking at the console without a server.
// Nothing here has run; what the real server answers is shown by the end-to-end tests.

let serial = 0;
export function uuid() {
  serial += 1;
  const tail = ((serial * 2654435761) >>> 0).toString(16).padStart(8, "0");
  return `0193a${(serial % 4096).toString(16).padStart(3, "0")}-7c1e-7000-8${tail.slice(0, 3)}-${tail}${(serial & 0xffff).toString(16).padStart(4, "0")}`;
}
export const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString().replace("Z", "000Z");

export const STAGES = [
  ["load", "Load", "curate.stages:LoadDocuments", 0.1],
  ["quality", "Quality", "curate.stages:QualityFilter", 0.25],
  ["dedupe", "Dedupe", "curate.stages:NearDuplicates", 0.25],
  ["annotate", "Annotate", "curate.stages:Annotate", 0.3],
  ["write", "Write", "curate.stages:WriteRows", 0.1],
];

export const spec = (threshold, extra = {}) => ({
  execution_mode: "streaming",
  params: {
    type: "object",
    required: ["language"],
    properties: {
      threshold: { type: "number", default: threshold, minimum: 0, maximum: 1, title: "Similarity threshold", description: "Two documents above this are near-duplicates" },
      limit: { type: "integer", default: 500, minimum: 1, title: "Documents" },
      language: { type: "string", enum: ["en", "de", "fr"], default: "en", title: "Language" },
      keep_short: { type: "boolean", default: false, title: "Keep short documents" },
      fields: { type: "array", items: { type: "string" }, default: ["text", "score"], title: "Fields written" },
    },
  },
  stages: STAGES.map(([id, name, uses, cpus]) => ({
    id, name, uses,
    ...(id === "dedupe" ? { params: { threshold: "${params.threshold}" } } : {}),
    resources: { cpus },
    ...(id === "load" || id === "write" ? { workers: 1 } : {}),
    ...(id === "quality" ? { ignore_failures: true } : {}),
  })),
  io: { input: { files: { glob: "/usr/share/doc/**/copyright" } }, output: { jsonl: { path: "curated.jsonl" } } },
  runtime: { target: "local", code: { digest: "sha256:7c1eb09a", path: "./code" }, env: {}, config: { logging_interval_s: 2 } },
  ...extra,
});

const meta = (name, display, more = {}) => ({
  id: uuid(), kind: "Pipeline", name, display_name: display, description: "", labels: {}, tags: [], owners: [], teams: [],
  state: "active", version: 7, created_at: ago(86400 * 9), created_by: "owner", updated_at: ago(3600 * 5),
  published: null, latest_revision: null, last_run: null, recent_runs: [], changed: false, ...more,
});

export const resources = {
  pipelines: [
    meta("curate", "Curate documents", {
      description: "Loads Debian's copyright files, keeps what reads well, drops near-duplicates, annotates and writes JSONL.",
      labels: { team: "data", tier: "example" }, owners: ["data-platform"], changed: true,
      published: { number: 4, published_at: ago(3600 * 30), spec_hash: "sha256:9d20c4e1b7aa41" }, latest_revision: { number: 4, state: "published" },
    }),
    meta("fails-in-third", "Fails on purpose", { labels: { tier: "example" }, published: { number: 1, published_at: ago(90000), spec_hash: "sha256:11aa" }, latest_revision: { number: 1, state: "published" } }),
    meta("score-live", "Scores text on request", { labels: { tier: "example", mode: "serving" }, published: { number: 2, published_at: ago(70000), spec_hash: "sha256:22bb" }, latest_revision: { number: 2, state: "published" } }),
    meta("nightly-ocr", "Nightly OCR", { labels: { team: "vision" } , changed: true}),
  ],
  stagetemplates: [meta("jsonl-writer", "JSONL writer", { kind: "StageTemplate", published: { number: 1, published_at: ago(86400), spec_hash: "sha256:33cc" }, latest_revision: { number: 1, state: "published" } })],
};
export const templateSpec = { uses: "curate.stages:WriteRows", description: "Writes rows as JSON lines", params: { compress: false }, resources: { cpus: 0.1 } };

export const kinds = [
  { kind: "Pipeline", plural: "pipelines", singular: "pipeline", title: "Pipelines", summary: "Stages that run over items on Xenna and Ray, as one versioned spec.", group: "build", engine: "xenna", example: null, scope: "project", runnable: true, actions: [{ verb: "publish", reason: false }, { verb: "rollback", reason: true }], routes: ["working-copy", "validate", "revisions", "publish", "rollback", "events", "audit"], schema: { type: "object" } },
  { kind: "StageTemplate", plural: "stagetemplates", singular: "stage template", title: "Stage templates", summary: "A stage with its defaults, for use in many pipelines.", group: "build", engine: null, example: { uses: "my_package.stages:Write", params: {} }, scope: "project", runnable: false, actions: [{ verb: "publish", reason: false }], routes: [],
    schema: { type: "object", required: ["uses"], properties: { uses: { type: "string", description: "Import path of the stage class" }, params: { type: "object", description: "Defaults of its params" }, resources: { type: "object" }, description: { type: "string" } } } },
];

export function progressOf(t, { total = 500, failed = null, over = false } = {}) {
  const done = (lag) => Math.max(0, Math.min(total, Math.round((t - lag) * 9)));
  let blocked = false;
  const rates = [38.1, 12.4, 24, 8.9, 8.9];
  const stages = STAGES.map(([id, name], i) => {
    const state = blocked ? "pending" : failed === id ? "failed" : over ? "succeeded" : done(i * 2) > 0 ? "running" : "pending";
    if (failed === id) blocked = true;
    const jitter = 1 + Math.sin(t / 3 + i) * 0.14;
    const live = state === "running";
    return {
      id, name, state,
      actors: { target: i === 3 ? 3 : 1, pending: 0, ready: 1, running: live ? (i === 3 ? 3 : 1) : 0, idle: 0 },
      queue_in: live ? [0, 6, 2, 41, 0][i] : 0, queue_out: 0, slots_used: live ? 2 : 0, slots_empty: 1,
      items_in: state === "pending" ? 0 : done(i * 2), items_out: state === "pending" ? 0 : Math.round(done(i * 2) * (1 - i * 0.02)), dropped: i === 1 ? 3 : 0,
      items_per_s: live ? rates[i] * jitter : null, process_time_s: 0.02 + i * 0.03, cpu: 0.4, rss_bytes: 180e6,
    };
  });
  return { inputs_total: total, inputs_done: done(0), outputs: stages[4].items_out, dropped: 3, bottleneck: over || failed ? null : "annotate", phase: over ? "finishing" : "running", stages };
}

export const TRACEBACK = `Traceback (most recent call last):
  File "/data/env/xenna-1f/lib/python3.12/site-packages/cosmos_xenna/ray_utils/stage_worker.py", line 318, in process_data
    result = self._stage.process_data(batch)
  File "/data/code/4b1c/curate/stages.py", line 71, in process_data
    return [self._check(item) for item in batch]
  File "/data/code/4b1c/curate/stages.py", line 64, in _check
    raise ValueError(f"document {item['id']} has no text")
ValueError: document 1204 has no text
`;
