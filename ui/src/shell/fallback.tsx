// What stands where a page would: not found, failed, on its way.
import { type ErrorComponentProps, Link, useRouter } from "@tanstack/react-router";
import { Button } from "@/components/ui/button";
import { Skeleton, SkeletonRows } from "@/components/ui/skeleton";
import { Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { isMissingChunk } from "@/lib/lazy-page";
import { Elsewhere, isAboutScope } from "./elsewhere";

export function NotFound() {
  return (
    <Panel className="mx-auto mt-10 max-w-lg">
      <Empty
        title="There is nothing at this address"
        action={
          <Button asChild>
            <Link to="/">Go to Home</Link>
          </Button>
        }
      >
        The link may be old, or the item was renamed or removed.
      </Empty>
    </Panel>
  );
}

export function PageError({ error, reset }: ErrorComponentProps) {
  const router = useRouter();
  if (isAboutScope(error)) return <Elsewhere error={error} />;
  return (
    <div className="p-4">
      <Panel className="mx-auto mt-6 max-w-2xl">
        <Failure
          what={isMissingChunk(error) ? "This page could not be loaded" : "This page could not be shown"}
          error={isMissingChunk(error) ? new Error("The server is away, or was upgraded to a newer console.") : error}
          retry={() => {
            // A chunk that failed stays failed within this document.
            if (isMissingChunk(error)) window.location.reload();
            else {
              reset();
              void router.invalidate();
            }
          }}
        />
      </Panel>
    </div>
  );
}

export function PagePending() {
  return (
    <div className="w-full">
      <Skeleton className="mb-4 h-6 w-56" />
      <Panel>
        <SkeletonRows rows={6} />
      </Panel>
    </div>
  );
}
