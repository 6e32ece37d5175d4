// Why it failed: the stage, the batch, the item where it is known, the traceback.
import { ChevronRight } from "lucide-react";
import { useState } from "react";
import type { Run } from "@/api/types";
import { CopyButton } from "@/components/copy";
import { Fact, Facts, Panel } from "@/components/panel";
import { cn } from "@/lib/cn";
import { count, plural } from "@/lib/format";

export function FailurePanel({ run, stages }: { run: Run; stages: { id: string; name: string }[] }) {
  const failure = run.failure;
  const [open, setOpen] = useState(true);
  if (!failure) {
    return (
      <Panel className="border-bad">
        <div role="alert" className="px-3.5 py-3">
          <p className="font-[560] text-bad">{run.message ?? "The run failed without saying why."}</p>
          <p className="text-ink2">
            {run.code ? <span className="mono">{run.code}. </span> : null}
            The end of the log may say more. Retry starts it again from the beginning.
          </p>
        </div>
      </Panel>
    );
  }
  const stage = stages.find((each) => each.id === failure.stage)?.name ?? failure.stage;
  return (
    <Panel className="border-bad" aria-label="Failure">
      <div className="space-y-2.5 px-3.5 py-3">
        <div role="alert">
          <p className="font-[560] break-words text-bad">
            <span className="mono">{failure.exception}</span>: {failure.message}
          </p>
        </div>
        <Facts>
          <Fact label="Stage">
            <b>{stage ?? "not in a stage"}</b>
          </Fact>
          {failure.batch !== null ? (
            <Fact label="Batch">
              <b>{count(failure.batch)}</b>
              {failure.batch_size !== null ? <span>{plural(failure.batch_size, "item")}</span> : null}
            </Fact>
          ) : null}
          {failure.item !== null ? (
            <Fact label="Item">
              <b>index {count(failure.item)}</b> <span>in the batch, found by replay</span>
            </Fact>
          ) : null}
          {run.code ? (
            <Fact label="Code">
              <span className="mono">{run.code}</span>
            </Fact>
          ) : null}
        </Facts>
        {failure.item_preview ? (
          <div>
            <div className="text-[11.5px] text-ink3">The item</div>
            <pre className="mono max-h-28 overflow-auto rounded-md bg-sunken px-2.5 py-1.5 break-all whitespace-pre-wrap">{failure.item_preview}</pre>
          </div>
        ) : null}
        {failure.traceback ? (
          <div className="rounded-md border">
            <div className="flex items-center gap-2 px-1.5">
              <button type="button" aria-expanded={open} onClick={() => setOpen(!open)} className="hit flex items-center gap-1.5 rounded px-1 text-ink2 hover:text-ink">
                <ChevronRight className={cn("size-3.5 transition-transform", open && "rotate-90")} aria-hidden />
                Traceback
              </button>
              <CopyButton text={failure.traceback} label="Copy traceback" className="ml-auto border-transparent shadow-none" />
            </div>
            {open ? (
              // A scrolling region must be reachable by keyboard.
              // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
              <pre tabIndex={0} aria-label="Traceback" className="mono max-h-80 overflow-auto rounded-b-md border-t bg-sunken px-3 py-2 leading-5">
                {failure.traceback}
              </pre>
            ) : null}
          </div>
        ) : null}
      </div>
    </Panel>
  );
}
