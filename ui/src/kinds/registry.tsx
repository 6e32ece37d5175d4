// What a kind's pages have beyond the common frame. A kind that is not named here is complete without it: list,
// detail, revisions, audit and YAML come from what the server says of the kind.
import { type ComponentType, lazy, type LazyExoticComponent } from "react";
import type { KindInfo, ResourceDetail } from "@/api/types";
import type { PipelineStarter } from "./pipeline/starter";

export interface TabProps {
  kind: KindInfo;
  resource: ResourceDetail;
}

export interface ExtraTab {
  id: string;
  label: string;
  /** Stands after the fixed tab of this id. */
  after: "overview" | "runs" | "revisions";
  component: LazyExoticComponent<ComponentType<TabProps>>;
}

export interface KindExtension {
  tabs: ExtraTab[];
  /** Takes the place of the generic overview. */
  overview?: LazyExoticComponent<ComponentType<TabProps>>;
  /** The document that a new item begins with. */
  starter?: () => Promise<PipelineStarter>;
}

const EXTENSIONS: Record<string, KindExtension> = {
  pipelines: {
    overview: lazy(() => import("./pipeline/overview")),
    tabs: [{ id: "graph", label: "Graph", after: "overview", component: lazy(() => import("./pipeline/graph-tab")) }],
    starter: () => import("./pipeline/starter").then((module) => module.pipelineStarter),
  },
  schedules: { overview: lazy(() => import("./schedule/overview")), tabs: [] },
};

const NONE: KindExtension = { tabs: [] };

export function extensionOf(plural: string): KindExtension {
  return EXTENSIONS[plural] ?? NONE;
}
