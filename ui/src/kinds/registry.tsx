// What a kind's pages have beyond the common frame. A kind that is not named here is complete without it: list,
// detail, revisions, audit and YAML come from what the server says of the kind.
import { type ComponentType, lazy, type LazyExoticComponent } from "react";
import type { JsonObject, KindInfo, Resource, ResourceDetail } from "@/api/types";
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

export interface NewFormProps {
  kind: KindInfo;
}

export interface RowProps {
  resource: Resource;
}

export interface DraftProps {
  resource: ResourceDetail;
  /** The working copy as it is saved. */
  spec: JsonObject;
  /** What is typed is saved, and nothing is wrong with it. */
  valid: boolean;
}

export interface KindExtension {
  tabs: ExtraTab[];
  /** A form for the first document of an item, before the editor. */
  newForm?: LazyExoticComponent<ComponentType<NewFormProps>>;
  /** A column of the list. */
  column?: { header: string; cell: LazyExoticComponent<ComponentType<RowProps>> };
  /** What the header of the detail page offers besides. */
  action?: LazyExoticComponent<ComponentType<TabProps>>;
  /** Takes the place of the generic overview. */
  overview?: LazyExoticComponent<ComponentType<TabProps>>;
  /** Stands below the checks of the working copy. */
  draft?: LazyExoticComponent<ComponentType<DraftProps>>;
  /** The document that a new item begins with. */
  starter?: () => Promise<PipelineStarter>;
}

const EXTENSIONS: Record<string, KindExtension> = {
  pipelines: {
    overview: lazy(() => import("./pipeline/overview")),
    tabs: [{ id: "graph", label: "Graph", after: "overview", component: lazy(() => import("./pipeline/graph-tab")) }],
    starter: () => import("./pipeline/starter").then((module) => module.pipelineStarter),
  },
  connections: {
    overview: lazy(() => import("./connection/overview")),
    tabs: [{ id: "form", label: "Form", after: "overview", component: lazy(() => import("./connection/form-tab")) }],
    newForm: lazy(() => import("./connection/new-form")),
    column: { header: "Last test", cell: lazy(() => import("./connection/last-test-cell")) },
    action: lazy(() => import("./connection/test-button")),
  },
  policies: { tabs: [], draft: lazy(() => import("./policy/what-if")) },
  schedules: { overview: lazy(() => import("./schedule/overview")), tabs: [] },
};

const NONE: KindExtension = { tabs: [] };

export function extensionOf(plural: string): KindExtension {
  return EXTENSIONS[plural] ?? NONE;
}
