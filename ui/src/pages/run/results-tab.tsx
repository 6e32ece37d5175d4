import { useQuery } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { apiUrl, segment } from "@/api/client";
import { runResultsQuery } from "@/api/queries";
import { Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { SkeletonRows } from "@/components/ui/skeleton";
import { bytes, count } from "@/lib/format";
import { isRunOver } from "@/lib/state";
import type { RunTabProps } from "./page";

export default function ResultsTab({ run }: RunTabProps) {
  const query = useQuery(runResultsQuery(run.id));
  const items = new Map(run.results?.files.map((file) => [file.path, file.items]));
  const files = (query.data?.items ?? []).map((file) => ({ ...file, items: items.get(file.path) ?? null }));
  const href = (path: string) => apiUrl(`/runs/${segment(run.id)}/results/${path.split("/").map(segment).join("/")}`);
  return (
    <Panel
      title="Results"
      aside={run.results ? `${count(run.results.outputs)} items out${run.results.dropped > 0 ? `, ${count(run.results.dropped)} dropped` : ""}` : undefined}
    >
      {query.isPending ? (
        <SkeletonRows rows={3} />
      ) : query.isError ? (
        <Failure what="Could not read the results" error={query.error} retry={() => void query.refetch()} />
      ) : files.length === 0 ? (
        <Empty title={isRunOver(run.state) ? "This run left no files" : "No files yet"}>
          {run.serving ? "A serving run answers its requests; it writes no files." : isRunOver(run.state) ? "Its output is none, or it ended before the first file." : "Files are listed when the run has written them."}
        </Empty>
      ) : (
        <ul>
          {files.map((file) => (
            <li key={file.path} className="flex flex-wrap items-center gap-x-5 gap-y-1 border-t px-3.5 py-2 first:border-t-0 hover:bg-sunken/60">
              <span className="mono min-w-0 font-[560] break-all">{file.path}</span>
              <span className="ml-auto text-ink2">{file.items === null ? "" : `${count(file.items)} items`}</span>
              <span className="w-20 text-right text-ink2">{bytes(file.bytes)}</span>
              <Button asChild size="sm">
                <a href={href(file.path)} download={file.path.split("/").at(-1)}>
                  <Download aria-hidden />
                  Download
                </a>
              </Button>
            </li>
          ))}
        </ul>
      )}
      {query.data?.truncated ? (
        <p className="border-t px-3.5 py-2 text-xs text-ink2">The first {count(files.length)} are listed; there are more in the run’s output folder.</p>
      ) : null}
    </Panel>
  );
}
