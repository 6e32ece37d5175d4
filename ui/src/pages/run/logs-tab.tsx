import { Panel } from "@/components/panel";
import type { RunTabProps } from "./page";
import { RunLogPanel } from "./run-log";

export default function LogsTab({ run, stages }: RunTabProps) {
  return (
    <Panel aria-label="Logs" className="h-[calc(100dvh-225px)] min-h-105 max-sm:h-[calc(100dvh-120px)]">
      <RunLogPanel run={run} stages={stages} className="flex-1" />
    </Panel>
  );
}
