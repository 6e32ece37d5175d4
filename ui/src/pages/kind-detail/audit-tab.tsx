import { useInfiniteQuery } from "@tanstack/react-query";
import { resourceAuditQuery } from "@/api/queries";
import { AuditRows } from "@/components/audit-rows";
import { Panel } from "@/components/panel";
import type { TabProps } from "@/kinds/registry";

export default function AuditTab({ kind, resource }: TabProps) {
  const query = useInfiniteQuery(resourceAuditQuery(kind.plural, resource.name));
  return (
    <Panel title="Audit" aside="who changed what, newest first">
      <AuditRows query={query} />
    </Panel>
  );
}
