import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { auditQuery } from "@/api/queries";
import { AuditRows } from "@/components/audit-rows";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { Input } from "@/components/ui/input";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export default function AuditPage() {
  const search = useSearch({ from: "/app/audit" });
  const navigate = useNavigate({ from: "/audit" });
  const query = useInfiniteQuery(auditQuery(search));
  const [object, setObject] = useState(search.object ?? "");
  const [action, setAction] = useState(search.action ?? "");
  useEffect(() => {
    const timer = setTimeout(() => {
      const id = object.trim();
      // Half an id is refused by the server: it is asked for when it is whole.
      const next = { object: UUID.test(id) ? id : undefined, action: action.trim() || undefined };
      if (next.object !== search.object || next.action !== search.action) void navigate({ search: next, replace: true });
    }, 300);
    return () => clearTimeout(timer);
  }, [object, action, search.object, search.action, navigate]);
  return (
    <>
      <PageHeader title="Audit" documentTitle="Audit" note={<span className="text-ink2">who changed what, when and why</span>} />
      <div className="mb-3 flex flex-wrap gap-2">
        <Input type="search" className="w-full sm:w-56" placeholder="Object id" aria-label="Object id" value={object} onChange={(event) => setObject(event.target.value)} />
        <Input type="search" className="w-full sm:w-56" placeholder="Action, as pipelines.publish" aria-label="Action" value={action} onChange={(event) => setAction(event.target.value)} />
      </div>
      <Panel>
        <AuditRows query={query} />
      </Panel>
    </>
  );
}
