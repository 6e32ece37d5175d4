// The situations of a panel that has nothing to show yet: empty, failed. Loading is a skeleton.
import { RotateCw } from "lucide-react";
import type { ReactNode } from "react";
import { ApiError, adviceFor } from "@/api/error";
import { Button } from "@/components/ui/button";
import { cn } from "@/lib/cn";
import { Id } from "./copy";

export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-1.5 px-6 py-9 text-center">
      <p className="font-[560]">{title}</p>
      {children ? <div className="max-w-md text-ink2">{children}</div> : null}
      {action ? <div className="mt-2">{action}</div> : null}
    </div>
  );
}

export function CommandLine({ children }: { children: string }) {
  return <code className="mono rounded bg-sunken px-1.5 py-0.5 break-words text-ink sm:whitespace-nowrap">{children}</code>;
}

/** What went wrong, why, and what to do; with the id to look for in the log. */
export function Failure({
  what,
  error,
  retry,
  className,
}: {
  what: string;
  error: unknown;
  retry?: () => void;
  className?: string;
}) {
  const api = error instanceof ApiError ? error : null;
  const why = error instanceof Error ? error.message : String(error);
  return (
    <div role="alert" className={cn("flex flex-wrap items-start gap-3 px-3.5 py-3.5", className)}>
      <span aria-hidden className="mt-1.5 size-2 shrink-0 rounded-full bg-bad" />
      <div className="min-w-0 flex-1 space-y-0.5">
        <p className="font-[560] text-bad">{what}</p>
        <p className="break-words text-ink">{why}</p>
        <p className="text-ink2">{adviceFor(error)}</p>
        {api && api.violations.length > 0 ? (
          <ul className="space-y-1 pt-1.5">
            {api.violations.map((violation, i) => (
              <li key={i} className="flex flex-wrap gap-x-2">
                <code className="mono text-bad">{violation.pointer || "/"}</code>
                <span>{violation.detail}</span>
              </li>
            ))}
          </ul>
        ) : null}
        {api ? (
          <p className="flex flex-wrap items-center gap-x-3 pt-1 text-xs text-ink3">
            <span className="mono">{api.code}</span>
            {api.correlationId ? (
              <span className="inline-flex items-center gap-1">
                correlation <Id id={api.correlationId} label="correlation id" full />
              </span>
            ) : null}
          </p>
        ) : null}
      </div>
      {retry ? (
        <Button size="sm" onClick={retry}>
          <RotateCw aria-hidden />
          Try again
        </Button>
      ) : null}
    </div>
  );
}
