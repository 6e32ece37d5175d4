// Every list of the console: TanStack Table for the columns, a real <table> for readers, "Load more" by keyset
// cursor. Columns say by `meta` how they align and below which width they give way.
import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import { type ColumnDef, createColumnHelper, type RowData, tableFeatures, useTable } from "@tanstack/react-table";
import { type ReactNode, useState } from "react";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import { cn } from "@/lib/cn";
import { plural } from "@/lib/format";
import { Failure } from "./situation";

const features = tableFeatures({});
type Features = typeof features;

export type Columns<T extends RowData> = ColumnDef<Features, T, unknown>[];

export interface CellMeta {
  align?: "right";
  from?: "sm" | "md" | "lg" | "xl";
  className?: string;
}

export function columnsFor<T extends RowData>() {
  return createColumnHelper<Features, T>();
}

const FROM = {
  sm: "max-sm:hidden",
  md: "max-md:hidden",
  lg: "max-lg:hidden",
  xl: "max-xl:hidden",
};

function cellClass(meta: unknown): string {
  const { align, from, className } = (meta ?? {}) as CellMeta;
  return cn(align === "right" && "text-right", from && FROM[from], className);
}

export function DataTable<T extends RowData>({
  label,
  columns,
  query,
  empty,
  noun,
  rowKey,
}: {
  label: string;
  columns: Columns<T>;
  query: Pick<
    UseInfiniteQueryResult<T[]>,
    "data" | "error" | "isPending" | "isError" | "hasNextPage" | "isFetchingNextPage" | "fetchNextPage" | "refetch"
  >;
  empty: ReactNode;
  noun: string;
  rowKey: (row: T) => string;
}) {
  const [none] = useState<T[]>([]);
  const table = useTable({ features, columns, data: query.data ?? none, getRowId: rowKey });
  if (query.isPending) return <SkeletonRows rows={6} />;
  if (query.isError && !query.data) {
    return <Failure what={`Could not read ${label.toLowerCase()}`} error={query.error} retry={() => void query.refetch()} />;
  }
  const rows = table.getRowModel().rows;
  if (rows.length === 0) return <>{empty}</>;
  return (
    <>
      <div className="relative overflow-x-auto">
        <table className="w-full border-collapse" aria-label={label}>
          <thead>
            {table.getHeaderGroups().map((group) => (
              <tr key={group.id}>
                {group.headers.map((header) => (
                  <th
                    key={header.id}
                    scope="col"
                    className={cn(
                      "px-3.5 py-1.5 text-left text-xs font-[520] whitespace-nowrap text-ink3",
                      cellClass(header.column.columnDef.meta),
                    )}
                  >
                    {header.isPlaceholder ? null : <table.FlexRender header={header} />}
                  </th>
                ))}
              </tr>
            ))}
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.id} className="border-t hover:bg-sunken/60">
                {row.getAllCells().map((cell) => (
                  <td key={cell.id} className={cn("px-3.5 py-1.5 align-middle max-sm:h-11", cellClass(cell.column.columnDef.meta))}>
                    <table.FlexRender cell={cell} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div className="flex items-center gap-3 border-t px-3.5 py-2 text-xs text-ink3">
        <span aria-live="polite">
          {plural(rows.length, noun)}
          {query.hasNextPage ? " shown, more to come" : ""}
        </span>
        {query.hasNextPage ? (
          <Button
            size="sm"
            className="ml-auto"
            disabled={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            {query.isFetchingNextPage ? "Loading…" : "Load more"}
          </Button>
        ) : null}
      </div>
    </>
  );
}
