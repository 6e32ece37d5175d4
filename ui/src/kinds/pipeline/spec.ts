// A pipeline's spec as its pages read it: narrowed with care, because an old revision or a half-written working
// copy may lack anything.
import type { Json, JsonObject, JsonSchema } from "@/api/types";

export interface StageView {
  id: string;
  name: string;
  uses: string;
  template: string | null;
  cpus: number | null;
  gpus: number | null;
  workers: number | null;
  ignoreFailures: boolean;
  attempts: { setup: number | null; run: number | null };
  params: JsonObject;
}

export interface PipelineView {
  mode: string;
  params: JsonSchema | null;
  stages: StageView[];
  positions: Map<string, { x: number; y: number }>;
  edges: { source: string; target: string }[];
  input: string;
  output: string;
  target: string;
}

function object(value: Json | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

function list(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

function text(value: Json | undefined): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function number(value: Json | undefined): number | null {
  return typeof value === "number" ? value : null;
}

export function paramsSchemaOf(spec: JsonObject | null | undefined): JsonSchema | null {
  const schema = object(spec?.params);
  return Object.keys(object(schema.properties)).length > 0 ? (schema) : null;
}

function stageOf(value: Json, at: number): StageView {
  const stage = object(value);
  const template = object(stage.template);
  const resources = object(stage.resources);
  const id = text(stage.id) ?? `stage-${at + 1}`;
  return {
    id,
    name: text(stage.name) ?? id,
    uses: text(stage.uses) ?? "",
    template: text(template.name) ?? text(stage.template),
    cpus: number(resources.cpus),
    gpus: number(resources.gpus),
    workers: number(stage.workers),
    ignoreFailures: stage.ignore_failures === true,
    attempts: { setup: number(stage.setup_attempts), run: number(stage.run_attempts) },
    params: object(stage.params),
  };
}

function ioOf(value: Json | undefined): string {
  const io = object(value);
  const [how] = Object.keys(io);
  if (!how || how === "none") return "none";
  const inner = io[how];
  if (Array.isArray(inner)) return `${inner.length} inline items`;
  const detail = object(inner);
  const what = text(detail.glob) ?? text(detail.path) ?? text(detail.uses) ?? text(detail.dir) ?? "";
  return what ? `${how}: ${what}` : how;
}

export function pipelineOf(spec: JsonObject | null | undefined): PipelineView {
  const stages = list(spec?.stages).map(stageOf);
  const graph = object(spec?.graph);
  const drawn = list(graph.edges).flatMap((value) => {
    const edge = object(value);
    const source = text(edge.source);
    const target = text(edge.target);
    return source && target ? [{ source, target }] : [];
  });
  const positions = new Map(
    list(graph.nodes).flatMap((value): [string, { x: number; y: number }][] => {
      const node = object(value);
      const at = object(node.position);
      const id = text(node.id);
      const x = number(at.x);
      const y = number(at.y);
      return id && x !== null && y !== null ? [[id, { x, y }]] : [];
    }),
  );
  const io = object(spec?.io);
  return {
    mode: text(spec?.execution_mode) ?? "streaming",
    params: paramsSchemaOf(spec),
    stages,
    positions,
    edges: drawn.length > 0 ? drawn : stages.slice(1).map((stage, i) => ({ source: stages[i]?.id ?? "", target: stage.id })),
    input: ioOf(io.input),
    output: ioOf(io.output),
    target: text(object(spec?.runtime).target) ?? "local",
  };
}

/** `2 workers · 0.5 CPU · 1 GPU`, for a line under a stage's name. */
export function sizeOf(stage: Pick<StageView, "workers" | "cpus" | "gpus">): string {
  const parts = [stage.workers === null ? "auto" : `${stage.workers} ${stage.workers === 1 ? "worker" : "workers"}`];
  if (stage.cpus !== null) parts.push(`${stage.cpus} CPU`);
  if (stage.gpus) parts.push(`${stage.gpus} GPU`);
  return parts.join(" · ");
}

/** The class without its module: `curate.stages:Load` → `Load`. */
export function classOf(uses: string): string {
  return uses.split(":").at(-1) ?? uses;
}
