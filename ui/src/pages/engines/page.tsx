import { EngineRows } from "@/components/engine-rows";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";

export default function EnginesPage() {
  return (
    <>
      <PageHeader title="Engines" documentTitle="Engines" note={<span className="text-ink2">what runs the work, as last read</span>} />
      <Panel title="Engines" aside="age of the reading">
        <EngineRows detailed />
      </Panel>
    </>
  );
}
