import { PlugZap } from "lucide-react";
import { useIsMutating } from "@tanstack/react-query";
import { useMayOn } from "@/access/may";
import { Button } from "@/components/ui/button";
import type { TabProps } from "@/kinds/registry";
import { useConnectionTest } from "./use-test";

export default function TestButton({ resource }: TabProps) {
  const mayDo = useMayOn("connections", resource.name);
  const test = useConnectionTest(resource.name);
  const testing = useIsMutating({ mutationKey: ["connection-test", resource.name] }) > 0;
  const none = !resource.published && !resource.latest_revision;
  if (!mayDo("test") || resource.state === "archived") return null;
  return (
    <Button variant="primary" disabled={testing || none} title={none ? "Publish a revision first" : undefined} onClick={() => test.mutate()}>
      <PlugZap aria-hidden />
      {testing ? "Testing…" : "Test"}
    </Button>
  );
}
