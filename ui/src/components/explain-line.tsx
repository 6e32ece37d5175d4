// One sentence at the top of a page: why the thing is in its state. What it rests on opens below it.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import { useState } from "react";
import { explainQuery } from "@/api/queries";
import { cn } from "@/lib/cn";
import { partsOf } from "@/lib/explain";
import { factText } from "@/lib/plan";
import { When } from "./time";
import { Skeleton } from "./ui/skeleton";

export function ExplainLine({ family, id, className }: { family: string; id: string; className?: string }) {
  const [open, setOpen] = useState(false);
  const query = useQuery(explainQuery(family, id));
  if (query.isPending) return <Skeleton className={cn("h-9", className)} />;
  if (!query.data) {
    const why = query.error instanceof Error ? query.error.message : "no answer";
    return <p className={cn("text-ink3", className)}>Why it is so could not be read: {why}</p>;
  }
  const { sentence, evidence } = query.data;
  return (
    <section aria-label="Why it is in this state" className={cn("rounded-lg border bg-sunken/50", className)}>
      <div className="flex items-start gap-2 px-3.5 py-2">
        <p className="min-w-0 flex-1 break-words" data-testid="explain">
          {partsOf(sentence).map((part, i) =>
            part.job ? (
              <Link key={i} to="/jobs/$job" params={{ job: part.job }} className="link">
                {part.text}
              </Link>
            ) : (
              <span key={i}>{part.text}</span>
            ),
          )}
        </p>
        {evidence.length > 0 ? (
          <button
            type="button"
            aria-expanded={open}
            onClick={() => setOpen(!open)}
            className="inline-flex shrink-0 items-center gap-1 rounded text-xs text-ink2 hover:text-ink max-sm:-my-2 max-sm:min-h-11"
          >
            Evidence
            <ChevronRight className={cn("size-3.5 transition-transform", open && "rotate-90")} aria-hidden />
          </button>
        ) : null}
      </div>
      {open ? (
        <dl className="grid grid-cols-[minmax(90px,auto)_minmax(0,1fr)_auto] gap-x-4 gap-y-1 border-t px-3.5 py-2 text-xs max-sm:block">
          {evidence.map((fact, i) => (
            <div key={i} className="contents max-sm:flex max-sm:flex-wrap max-sm:gap-x-3 max-sm:py-1">
              <dt className="text-ink3">{fact.what}</dt>
              <dd className="break-words max-sm:order-last max-sm:basis-full">{factText(fact.value)}</dd>
              <dd className="text-right text-ink3 max-sm:ml-auto">{fact.at ? <When at={fact.at} /> : null}</dd>
            </div>
          ))}
        </dl>
      ) : null}
    </section>
  );
}
