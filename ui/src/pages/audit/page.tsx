// The audit browser: who did what to what, found by whatever of it is known, and whether its chain still holds.
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Download } from "lucide-react";
import { useMay } from "@/access/may";
import { apiUrl } from "@/api/client";
import { auditQuery } from "@/api/queries";
import { AuditRows } from "@/components/audit-rows";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { Empty } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { download } from "@/lib/download";
import { FilterBar } from "./filter-bar";
import { isNarrowed } from "./filters";
import { VerifyBadge } from "./verify-badge";

export default function AuditPage() {
  const may = useMay();
  const search = useSearch({ from: "/app/audit" });
  const navigate = useNavigate({ from: "/audit" });
  const query = useInfiniteQuery(auditQuery(search));
  const reach = search.reach ?? "project";
  // A chain is a tenant's as a whole, or the platform's.
  const chain = reach === "platform" ? "platform" : "tenant";
  const mayProve = may("audit.export", chain);
  const clear = () => void navigate({ search: search.reach ? { reach: search.reach } : {} });
  return (
    <>
      <PageHeader
        title="Audit"
        documentTitle="Audit"
        note={mayProve ? <VerifyBadge key={chain} reach={chain} /> : <span className="text-ink2">who changed what, when and why</span>}
        actions={
          mayProve ? (
            <Button onClick={() => download(apiUrl("/audit/export", { reach: chain }), `audit-${chain}.jsonl`)} title={`The whole chain of the ${chain}, which qd audit verify proves without this server`}>
              <Download aria-hidden />
              Export {chain === "platform" ? "platform" : "tenant"}
            </Button>
          ) : null
        }
      />
      <FilterBar filters={search} onChange={(next) => void navigate({ search: next, replace: true })} />
      <Panel>
        <AuditRows
          query={query}
          empty={
            isNarrowed(search) ? (
              <Empty title="No record matches" action={<Button onClick={clear}>Clear filters</Button>}>
                Actor and action are matched as a whole: ann, pipelines.publish.
              </Empty>
            ) : undefined
          }
        />
      </Panel>
    </>
  );
}
