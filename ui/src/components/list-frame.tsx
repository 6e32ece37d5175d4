// The frame of a list that is no table: loading, failed, empty, rows, more.
import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { plural } from "@/lib/format";
import { Failure } from "./situation";
import { Button } from "./ui/button";
import { SkeletonRows } from "./ui/skeleton";

export function ListFrame<T>({
  query,
  what,
  noun,
  empty,
  children,
}: {
  query: UseInfiniteQueryResult<T[]>;
  what: string;
  noun: string;
  empty: ReactNode;
  children: (items: T[]) => ReactNode;
}) {
  if (query.isPending) return <SkeletonRows rows={6} />;
  if (query.isError && !query.data) return <Failure what={`Could not read ${what}`} error={query.error} retry={() => void query.refetch()} />;
  const items = query.data ?? [];
  if (items.length === 0) return <>{empty}</>;
  return (
    <>
      {children(items)}
      <div className="flex items-center gap-3 border-t px-3.5 py-2 text-xs text-ink3">
        <span>
          {plural(items.length, noun)}
          {query.hasNextPage ? " shown, more to come" : ""}
        </span>
        {query.hasNextPage ? (
          <Button size="sm" className="ml-auto" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
            {query.isFetchingNextPage ? "Loading…" : "Load more"}
          </Button>
        ) : null}
      </div>
    </>
  );
}
