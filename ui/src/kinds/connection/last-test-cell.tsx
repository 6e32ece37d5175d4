// The last test of a connection in the list. A list's rows carry no status: each is read with its own detail, once.
import { useQuery } from "@tanstack/react-query";
import { resourceQuery } from "@/api/queries";
import { Skeleton } from "@/components/ui/skeleton";
import type { RowProps } from "@/kinds/registry";
import { ReadingState } from "./reading";
import { statusOf } from "./use-test";

export default function LastTestCell({ resource }: RowProps) {
  const query = useQuery(resourceQuery("connections", resource.name));
  if (query.isPending) return <Skeleton className="h-4 w-20" />;
  if (!query.data) return <span className="text-ink3">not known</span>;
  return <ReadingState reading={statusOf(query.data)?.last_test} />;
}
