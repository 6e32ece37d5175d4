// STAND-IN for the server: the routes that the console calls, over the made-up data of data.mjs, with one run
// that never stops moving. `node mock/server.mjs [port]` serves the API and, where it was built, ../dist.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { ago, kinds, progressOf, resources, spec, STAGES, templateSpec, TRACEBACK, uuid } from "./data.mjs";

const port = Number(process.argv[2] ?? 7071);
const dist = new URL("../dist/", import.meta.url).pathname;
const runs = [], jobs = [], events = [], audit = [], logs = new Map(), streams = new Set();
const now = () => ago(0);
const find = (name) => resources.pipelines.find((each) => each.name === name);

function addEvent(type, at, more = {}) {
  const event = { pos: events.length + 1, type, at, kind: "Pipeline", resource_id: null, resource_name: null, run_id: null, job_id: null, actor: "system", correlation_id: uuid(), data: {}, ...more };
  events.push(event);
  for (const stream of streams) stream.event(event);
}
function addLine(run, stage, level, text, at = now()) {
  const held = logs.get(run.id) ?? logs.set(run.id, []).get(run.id);
  const line = { n: held.length + 1, attempt: 1, stage, stream: stage ? "stdout" : "driver", level, at, text };
  held.push(line);
  for (const stream of streams) stream.log(run.id, line);
}
function addRun(pipeline, state, startedAgo, lasted, more = {}) {
  const number = runs.filter((run) => run.resource.name === pipeline.name).length + 1;
  const over = !["running", "queued"].includes(state);
  const failed = more.failure?.stage ?? null;
  const run = {
    id: uuid(), number, ref: `${pipeline.name}#${number}`, kind: "Pipeline", resource: { id: pipeline.id, name: pipeline.name }, revision: pipeline.published?.number ?? 1,
    state, code: null, message: null, params: { threshold: 0.8, language: "en" }, engine: "xenna", engine_detail: { xenna: "0.5.12", ray: "2.51.1", python: "3.12.8" }, attempt: 1,
    attempts: [{ attempt: 1, state, external_id: `qd-${pipeline.name}-${number}-8f21`, started_at: ago(startedAgo), ended_at: over ? ago(startedAgo - lasted) : null, exit_code: over ? (state === "failed" ? 1 : 0) : null, code: null, message: null }],
    created_at: ago(startedAgo + 1), created_by: "owner", started_at: state === "queued" ? null : ago(startedAgo), ended_at: over ? ago(startedAgo - lasted) : null, stop_requested_at: null, usual_duration_s: 48,
    progress: state === "queued" ? null : progressOf(over ? 60 : startedAgo, { over: state === "succeeded", failed }), failure: null, serving: null,
    results: state === "succeeded" ? { outputs: 461, dropped: 3, files: [{ path: "curated.jsonl", bytes: 1_284_113, items: 461 }] } : null, job_id: uuid(), ...more,
  };
  runs.push(run);
  pipeline.last_run = run;
  pipeline.recent_runs = [run, ...pipeline.recent_runs].slice(0, 10);
  const about = { run_id: run.id, resource_id: pipeline.id, resource_name: pipeline.name };
  addEvent("run.queued", run.created_at, { ...about, actor: "owner", data: { number } });
  if (run.started_at) addEvent("run.running", run.started_at, { ...about, data: { number } });
  if (run.started_at && pipeline.name === "curate") addEvent("run.dropped", ago(startedAgo - 5), { ...about, data: { stage: "quality", items: 3, error: "ValueError: document has no text" } });
  if (over) addEvent(`run.${state}`, run.ended_at, { ...about, data: { number, ...(run.failure ? { stage: run.failure.stage, message: run.failure.message } : {}) } });
  for (let i = 0; i < 240; i++) {
    const [id] = STAGES[i % 5];
    const level = i % 47 === 46 ? "error" : i % 19 === 18 ? "warning" : i % 11 === 10 ? "debug" : "info";
    const text = { error: `document ${i}: truncated, dropped (ignore_failures)`, warning: `document ${i}: language is not certain (0.51)`, debug: `batch ${i} took 18 ms` }[level] ?? `batch ${i}: 16 in, ${16 - (i % 3)} out, ${i % 3} near-duplicates`;
    addLine(run, i % 13 === 0 ? null : id, level, text, ago(startedAgo - (i * Math.min(lasted || startedAgo, startedAgo)) / 260));
  }
  return run;
}
function addJob(operation, state, resource, secondsAgo, more = {}) {
  const titles = { "run.start": ["Check the revision", "Prepare the environment", "Submit to the engine"], "revision.publish": ["Check all preconditions", "Move the published mark"], "run.stop": ["Ask the engine to stop", "Wait until every process is gone"] }[operation];
  const job = {
    id: uuid(), operation, state, resource: { kind: "Pipeline", id: resource.id, name: resource.name }, run_id: null, reason: null, created_by: "owner", created_at: ago(secondsAgo), started_at: ago(secondsAgo), ended_at: state === "succeeded" || state === "failed" ? ago(secondsAgo - 2) : null,
    waiting_for: null, error: null, cancel_requested: false, request_id: uuid(), correlation_id: uuid(),
    steps: titles.map((title, i) => ({ name: title.split(" ")[0].toLowerCase(), title, state: state === "succeeded" ? "succeeded" : i === 0 ? "succeeded" : i === 1 ? state : "pending", attempts: 1, started_at: ago(secondsAgo), ended_at: state === "succeeded" || i === 0 ? ago(secondsAgo - 1) : null, error: null, output: null })), ...more,
  };
  jobs.push(job);
  addEvent(`job.${state}`, job.created_at, { job_id: job.id, resource_name: resource.name, data: { operation } });
  return job;
}
const failure = { stage: "dedupe", batch: 12, batch_size: 16, item: 1204, item_preview: '{"id": 1204, "source": "/usr/share/doc/zlib1g/copyright", "text": null}', exception: "ValueError", message: "document 1204 has no text", traceback: TRACEBACK };
const [curate, fails, live] = resources.pipelines;
for (let i = 0; i < 26; i++) addRun(curate, i === 9 ? "failed" : i === 17 ? "stopped" : "succeeded", 86400 - i * 3300, 44 + (i % 5), i === 9 ? { failure, results: null } : {});
addRun(fails, "failed", 1500, 14, { failure, code: "stage_failed", message: "stage dedupe failed" });
const serving = addRun(live, "running", 4200, 0, { serving: { ready: true, rate: 14.2, p50_ms: 21.5, p95_ms: 48.9, queued: 2, in_flight: 3, answered: 51_233, failed: 4 }, usual_duration_s: null });
const moving = addRun(curate, "running", 21, 0);
addJob("run.start", "succeeded", curate, 22, { run_id: moving.id });
addJob("revision.publish", "succeeded", curate, 3600 * 30, { reason: "raise the threshold" });
addJob("run.start", "waiting", resources.pipelines[3], 62, { waiting_for: "the environment xenna-1f to be prepared (uv: 41 of 63 packages)" });
addJob("run.stop", "failed", curate, 9000, { error: { code: "engine_unreachable", message: "the supervisor of qd-curate-18 did not answer within 10 s" } });
for (const [action, object, secondsAgo, more] of [
  ["pipeline.apply", curate, 86400 * 3, {}],
  ["pipeline.publish", curate, 3600 * 30, { reason: "fewer false duplicates", changes: [{ pointer: "/params/properties/threshold/default", op: "replace", before: 0.88, after: 0.92 }, { pointer: "/stages/1/ignore_failures", op: "add", after: true }] }],
  ["pipeline.publish", live, 70000, {}], ["pipeline.publish", fails, 90000, {}],
  ["pipeline.update", resources.pipelines[3], 4000, { changes: [{ pointer: "/labels/team", op: "add", after: "vision" }] }],
]) audit.push({ id: uuid(), at: ago(secondsAgo), actor: "owner", action, object: { kind: "Pipeline", id: object.id, name: object.name }, outcome: "succeeded", reason: null, changes: [], request_id: uuid(), correlation_id: uuid(), job_id: uuid(), ...more });
for (const run of runs.slice(-4)) audit.push({ id: uuid(), at: run.created_at, actor: "owner", action: "run.start", object: { kind: "run", id: run.id, name: run.ref }, outcome: "succeeded", reason: null, changes: [], request_id: uuid(), correlation_id: uuid(), job_id: run.job_id });
audit.sort((a, b) => (a.at < b.at ? 1 : -1));

const revisions = [0.8, 0.85, 0.88, 0.92].map((threshold, i) => ({ id: uuid(), number: i + 1, state: i === 3 ? "published" : "superseded", spec_hash: `sha256:${"9d20c4e1b7aa41".repeat(2)}${i}`, message: ["First version", "Stricter near-duplicates", "Count short documents", "Fewer false duplicates, drop what does not parse"][i], created_by: i === 2 ? "ci-deployer" : "owner", created_at: ago(86400 * (8 - 2 * i)), published_at: ago(86400 * (8 - 2 * i)), origin: i === 2 ? "apply" : i === 0 ? "apply" : "working_copy", spec: spec(threshold, i < 2 ? {} : { observability: { metrics: true, log_level: i === 2 ? "debug" : "info" } }) }));
const copy = { spec: spec(0.95, { observability: { metrics: true, log_level: "info" } }), version: 12, updated_at: ago(240), updated_by: "owner", base_revision: 4, violations: [{ pointer: "/spec/stages/4/uses", code: "class_not_found", detail: "class WriteRow not found in curate.stages; it has WriteRows" }, { pointer: "/spec/stages", code: "over_capacity", detail: "streaming needs 3.75 CPUs at once, target local offers 1.00" }] };
copy.spec.stages[4].uses = "curate.stages:WriteRow";

function page(items, url, size = 50) {
  const limit = Number(url.searchParams.get("limit") ?? size), from = Number(url.searchParams.get("cursor") ?? 0);
  return { items: items.slice(from, from + limit), next_cursor: from + limit < items.length ? String(from + limit) : null };
}
function eventPage(all, url) {
  const before = Number(url.searchParams.get("before") ?? 0), limit = Number(url.searchParams.get("limit") ?? 100);
  const items = all.filter((each) => before === 0 || each.pos < before).slice(-limit);
  return { items, after: items.at(-1)?.pos ?? 0 };
}
const problem = (status, code, detail, errors = []) => ({ status, body: { type: "about:blank", title: code, status, code, detail, correlation_id: uuid(), errors }, type: "application/problem+json" });
const ok = (body, status = 200) => ({ status, body, type: "application/json" });
const metrics = (run) => ({ stages: STAGES.map(([id], i) => ({ id, points: Array.from({ length: 60 }, (_, p) => { const stage = progressOf(20 + p / 2).stages[i]; return { at: new Date(Date.parse(run.started_at) + p * 800).toISOString(), items_per_s: stage.items_per_s, queue: stage.queue_in, actors: stage.actors.running }; }) })) });

function answer(method, parts, url, body) {
  const [head, name, sub, arg, deep] = parts;
  const q = url.searchParams;
  if (head === "me") return ok({ principal: { id: uuid(), name: "owner", kind: "user", roles: ["owner"] }, tenant: { id: uuid(), name: "default" }, project: { id: uuid(), name: "main" }, permissions: ["*"] });
  if (head === "auth") return name === "exchange" && body.code !== "mock" ? problem(401, "code_invalid", "this code was used already, or is too old") : ok({ principal: { name: "owner" } });
  if (head === "kinds") return ok({ items: kinds });
  if (head === "engines") return ok({ items: [{ name: "xenna", title: "Xenna", progress: null, state: "healthy", detail: "local Ray, 2 CPUs, environment xenna-1f ready", observed_at: ago(4), version: "0.5.12" }, { name: "ray-jobs", title: "Ray Jobs", progress: null, state: "healthy", detail: "ray-prod did not answer the last 3 looks", observed_at: ago(420), version: "2.51.1" }] });
  if (head === "audit") return ok(page(audit.filter((each) => !q.get("object") || each.object.id === q.get("object")), url));
  if (head === "events") return ok(eventPage(events, url));
  if (head === "jobs") {
    const job = jobs.find((each) => each.id === name);
    if (name && !job) return problem(404, "not_found", "no such job");
    return ok(name ? job : page([...jobs].filter((each) => !q.get("state") || each.state === q.get("state")).sort((a, b) => (a.created_at < b.created_at ? 1 : -1)), url));
  }
  if (head === "runs") {
    const newest = [...runs].reverse().filter((each) => (!q.get("state") || each.state === q.get("state")) && (!q.get("kind") || each.kind === q.get("kind")));
    if (!name) return ok(page(newest, url));
    const run = runs.find((each) => each.id === name || each.ref === name);
    if (!run) return problem(404, "not_found", "no such run");
    if (!sub) return ok(run);
    if (sub === "events") return ok(eventPage(events.filter((each) => each.run_id === run.id), url));
    if (sub === "metrics") return ok(metrics(run));
    if (sub === "results") return ok({ items: run.results?.files ?? [] });
    if (sub === "requests") return ok({ result: { ...body.item, score: 0.83, words: 5 } });
    if (sub === "logs") {
      const all = logs.get(run.id), limit = Number(q.get("limit") ?? 500), after = Number(q.get("after") ?? 0), before = q.get("before");
      const items = before ? all.filter((line) => before === "0" || line.n < Number(before)).slice(-limit) : all.filter((line) => line.n > after).slice(0, limit);
      return ok({ items, next: null, first: all[0]?.n ?? 0, last: all.at(-1)?.n ?? 0 });
    }
    if (sub === "stop") {
      run.stop_requested_at = now();
      addEvent("run.stop_requested", now(), { run_id: run.id, resource_name: run.resource.name, actor: "owner", data: body });
      setTimeout(() => { run.state = "stopped"; run.ended_at = now(); addEvent("run.stopped", now(), { run_id: run.id, resource_name: run.resource.name }); }, 2500);
      return ok({ job: addJob("run.stop", "succeeded", find(run.resource.name), 0, { run_id: run.id }), run }, 202);
    }
    return ok({ job: addJob("run.start", "running", find(run.resource.name), 0, { run_id: run.id }), run }, 202);
  }
  const list = resources[head];
  if (!list) return problem(404, "not_found", "no such route");
  if (!name) {
    if (method === "POST") return problem(422, "spec_invalid", "the document has 1 violation", [{ pointer: "/metadata/name", code: "name_grammar", detail: "a name is [a-z]([a-z0-9-]{0,38}[a-z0-9])?" }]);
    return ok(page(list.filter((each) => (each.state === (q.get("state") ?? "active")) && each.name.includes(q.get("q") ?? "") && (!q.get("label") || each.labels[q.get("label").split(":")[0]] === q.get("label").split(":")[1])), url));
  }
  const item = list.find((each) => each.name === name || each.id === name);
  if (!item) return problem(404, "not_found", `no ${head} of this name`);
  const itsSpec = head === "stagetemplates" ? templateSpec : revisions[3].spec;
  if (!sub) return ok({ ...item, spec: item.published ? itsSpec : null, params_schema: item.published && head === "pipelines" ? itsSpec.params : null });
  if (sub === "working-copy") { if (method === "PUT") Object.assign(copy, { spec: body.spec, version: copy.version + 1, updated_at: now(), violations: [] }); return ok(head === "pipelines" ? copy : { ...copy, spec: itsSpec, violations: [] }); }
  if (sub === "validate") return ok({ violations: copy.violations });
  if (sub === "runs" && method === "GET") return ok(page([...runs].reverse().filter((run) => run.resource.id === item.id), url));
  if (sub === "runs") { const run = addRun(item, "running", 0, 0, { ends: 15 }); return ok({ job: addJob("run.start", "running", item, 0, { run_id: run.id }), run }, 202); }
  if (sub === "revisions" && arg && deep === "diff") return ok({ from: Number(q.get("from")), to: Number(arg), changes: [{ pointer: "/params/properties/threshold/default", op: "replace", before: revisions[q.get("from") - 1]?.spec.params.properties.threshold.default, after: revisions[arg - 1]?.spec.params.properties.threshold.default }, { pointer: "/observability", op: "add", after: { metrics: true, log_level: "info" } }] });
  if (sub === "revisions" && arg) return ok(revisions[arg - 1] ?? revisions[0]);
  if (sub === "revisions") return method === "POST" ? ok(revisions[3], 201) : ok(page([...revisions].reverse().filter((each) => each.number <= (item.published?.number ?? 0)), url));
  if (sub === "events") return ok(eventPage(events.filter((each) => each.resource_name === item.name), url));
  if (sub === "audit") return ok(page(audit.filter((each) => each.object.name === item.name), url));
  return ok({ job: addJob("revision.publish", "running", item, 0) }, 202);
}

function openStream(response, url) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const followed = url.searchParams.get("logs") ?? url.pathname.match(/runs\/([^/]+)\/logs/)?.[1];
  const send = (type, id, data) => response.write(`event: ${type}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`);
  const stream = { progress: (frame) => response.write(`event: progress\ndata: ${JSON.stringify(frame)}\n\n`), event: (event) => send("event", `${event.pos}.0`, event), log: (run, line) => run === followed && send("log", `${events.length}.${line.n}`, { ...line, run_id: run }) };
  const after = Number(url.searchParams.get("log_after") ?? Infinity);
  for (const line of logs.get(followed) ?? []) if (line.n > after) stream.log(followed, line);
  streams.add(stream);
  response.write(": hello\n\n");
  response.on("close", () => streams.delete(stream));
}

setInterval(() => {
  for (const run of runs.filter((each) => each.state === "running")) {
    const about = { run_id: run.id, resource_name: run.resource.name };
    if (run === serving) {
      run.serving = { ...run.serving, rate: 13 + Math.random() * 3, answered: run.serving.answered + 14 };
      for (const stream of streams) stream.progress({ run_id: run.id, progress: null, serving: run.serving });
    } else {
      const lasted = (Date.now() - Date.parse(run.started_at)) / 1000;
      if (run.ends && lasted > run.ends) {
        Object.assign(run, { state: "succeeded", ended_at: now(), progress: progressOf(60, { over: true }), results: { outputs: 461, dropped: 3, files: [{ path: "curated.jsonl", bytes: 1_284_113, items: 461 }] } });
        addEvent("run.succeeded", now(), about);
        continue;
      }
      const t = ((Date.now() - Date.parse(run.started_at)) / 1000) % 55;
      run.progress = progressOf(t);
      for (const stream of streams) stream.progress({ run_id: run.id, progress: run.progress, serving: null });
    }
    for (let i = 0; i < 4; i++) addLine(run, STAGES[i][0], i === 2 && Math.random() < 0.2 ? "warning" : "info", `batch ${logs.get(run.id).length}: 16 in, ${16 - i} out in ${18 + i * 7} ms`);
  }
}, 1000);

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2" };
createServer(async (request, response) => {
  const url = new URL(request.url, "http://mock");
  if (!url.pathname.startsWith("/api/v1/")) {
    const wanted = extname(url.pathname) ? url.pathname : "/index.html";
    try {
      const file = await readFile(join(dist, wanted));
      response.writeHead(200, { "content-type": TYPES[extname(wanted)] ?? "application/octet-stream", "content-security-policy": "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:" });
      return response.end(file);
    } catch { return response.writeHead(404).end(); }
  }
  if (url.pathname === "/api/v1/stream" || (url.pathname.endsWith("/logs") && request.headers.accept?.includes("event-stream"))) return openStream(response, url);
  let text = "";
  for await (const chunk of request) text += chunk;
  let body = {};
  try { body = text ? JSON.parse(text) : {}; } catch { body = { yaml: text }; }
  const parts = url.pathname.slice("/api/v1/".length).split("/").map(decodeURIComponent);
  const signedIn = /qd_session=/.test(request.headers.cookie ?? "") || parts[0] === "auth";
  const reply = signedIn ? answer(request.method, parts, url, body) : problem(401, "unauthenticated", "nobody is signed in");
  const cookie = parts[1] === "exchange" && reply.status === 200 ? { "set-cookie": "qd_session=mock; HttpOnly; SameSite=Strict; Path=/" } : parts[1] === "sign-out" ? { "set-cookie": "qd_session=; Max-Age=0; Path=/" } : {};
  response.writeHead(reply.status, { "content-type": reply.type, "x-correlation-id": uuid(), ...cookie }).end(JSON.stringify(reply.body));
}).listen(port, "127.0.0.1", () => process.stdout.write(`stand-in on http://127.0.0.1:${port}/sign-in#code=mock\n`));
