// The stages as a graph, read only: left to right, wrapped where the panel is narrow. With a live run the nodes
// carry its numbers. React Flow brings pan, zoom and the edges.
import { Background, BackgroundVariant, Controls, type Edge, Handle, type Node, type NodeProps, Position, ReactFlow } from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import { useEffect, useMemo, useRef, useState } from "react";
import type { RunProgress, StageProgress } from "@/api/types";
import { State } from "@/components/state";
import { cn } from "@/lib/cn";
import { batchTime, count, rate } from "@/lib/format";
import { classOf, type PipelineView, sizeOf, type StageView } from "./spec";

const WIDTH = 200;
const GAP_X = 30;
const GAP_Y = 44;
/** Edges from side to side meet nodes at one height, however much stands in them. */
const HANDLE = "!opacity-0 [&.react-flow__handle-left]:!top-9 [&.react-flow__handle-right]:!top-9";

type StageNode = Node<{ stage: StageView; live: StageProgress | null; over: boolean; hot: boolean; problem: string | null; turn: Turn }, "stage">;
type Turn = { in: Position; out: Position };

function StageNodeView({ data }: NodeProps<StageNode>) {
  const { stage, live, over, hot, problem, turn } = data;
  return (
    <div
      className={cn(
        "rounded-[9px] border border-line2 bg-panel px-3 py-2.5 text-[13px] shadow-panel",
        hot && "border-warn",
        problem && "border-bad",
      )}
      style={{ width: WIDTH }}
    >
      <Handle type="target" position={turn.in} className={HANDLE} />
      <Handle type="source" position={turn.out} className={HANDLE} />
      <b className="block truncate font-semibold" title={stage.name}>
        {stage.name}
      </b>
      <div className="flex min-h-5 items-center gap-2">
        <span className="mono min-w-0 truncate text-ink3" title={stage.uses}>
          {stage.template ? `template ${stage.template}` : classOf(stage.uses)}
        </span>
        {hot ? <State state="degraded" word="Bottleneck" className="ml-auto" /> : live ? <State state={live.state} className="ml-auto" /> : null}
      </div>
      <p className="text-xs text-ink2">{sizeOf(stage)}</p>
      {Object.keys(stage.params).length > 0 ? (
        <p className="mono truncate text-ink3" title={JSON.stringify(stage.params, null, 1)}>
          {Object.entries(stage.params)
            .map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
            .join(", ")}
        </p>
      ) : null}
      {live ? (
        <dl className="mt-1.5 grid grid-cols-3 border-t pt-1.5 text-xs">
          {(over
            ? [
                ["items in", count(live.items_in)],
                ["items out", count(live.items_out)],
                ["a batch", batchTime(live.process_time_s)],
              ]
            : [
                ["items/s", rate(live.items_per_s)],
                ["queue", count(live.queue_in)],
                ["actors", `${live.actors.running + live.actors.idle} / ${live.actors.target ?? "–"}`],
              ]
          ).map(([label, value]) => (
            <div key={label}>
              <dt className="text-2xs text-ink3">{label}</dt>
              <dd className="font-[540]">{value}</dd>
            </div>
          ))}
        </dl>
      ) : null}
      {stage.ignoreFailures ? <p className="mt-1 text-2xs text-ink3">drops items that fail</p> : null}
      {problem ? <p className="mt-1 text-xs break-words text-bad">{problem}</p> : null}
    </div>
  );
}

const nodeTypes = { stage: StageNodeView };

export default function PipelineGraph({
  pipeline,
  progress,
  over = false,
  problems,
  className,
}: {
  pipeline: PipelineView;
  progress?: RunProgress | null;
  /** The run has ended: its nodes say what went through them, and none is in the way of the others any more. */
  over?: boolean;
  /** By stage id: what stands in red under it. */
  problems?: ReadonlyMap<string, string>;
  className?: string;
}) {
  const host = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    if (!host.current) return;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.round(entry?.contentRect.width ?? 0)));
    observer.observe(host.current);
    return () => observer.disconnect();
  }, []);

  const perRow = Math.max(1, Math.floor((width - 32 + GAP_X) / (WIDTH + GAP_X)));
  const live = progress ?? null;
  const rowHeight = (live ? 142 : 96) + GAP_Y;
  const rows = Math.ceil(pipeline.stages.length / perRow);
  const nodes = useMemo<StageNode[]>(
    () =>
      pipeline.stages.map((stage, i) => {
        const row = Math.floor(i / perRow);
        const column = i % perRow;
        const drawn = pipeline.positions.get(stage.id);
        const wrapsIn = !drawn && i > 0 && column === 0;
        const wrapsOut = !drawn && column === perRow - 1;
        return {
          id: stage.id,
          type: "stage",
          position: drawn ?? { x: column * (WIDTH + GAP_X), y: row * rowHeight },
          data: {
            stage,
            live: live?.stages.find((each) => each.id === stage.id) ?? null,
            over,
            hot: !over && live?.bottleneck === stage.id,
            problem: problems?.get(stage.id) ?? null,
            turn: { in: wrapsIn ? Position.Top : Position.Left, out: wrapsOut ? Position.Bottom : Position.Right },
          },
        };
      }),
    [pipeline, live, over, problems, perRow, rowHeight],
  );
  const edges = useMemo<Edge[]>(
    () =>
      pipeline.edges.map(({ source, target }) => ({
        id: `${source}-${target}`,
        source,
        target,
        style: { stroke: "var(--line2)", strokeWidth: 1.6 },
      })),
    [pipeline],
  );

  return (
    <div ref={host} className={className} style={{ height: Math.min(perRow === 1 ? 2400 : 720, Math.max(240, rows * rowHeight + 60)) }}>
      {width > 0 ? (
        <ReactFlow
          key={`${perRow}-${pipeline.stages.length}`}
          nodes={nodes}
          edges={edges}
          nodeTypes={nodeTypes}
          fitView
          fitViewOptions={{ padding: 0.08, maxZoom: 1 }}
          minZoom={0.3}
          maxZoom={1.6}
          nodesDraggable={false}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          zoomOnScroll={false}
          preventScrolling={false}
          proOptions={{ hideAttribution: true }}
          aria-label="Graph of stages"
        >
          <Background variant={BackgroundVariant.Dots} gap={18} size={1.2} color="var(--line2)" />
          <Controls showInteractive={false} position="bottom-right" className="max-sm:!hidden" />
        </ReactFlow>
      ) : null}
    </div>
  );
}
