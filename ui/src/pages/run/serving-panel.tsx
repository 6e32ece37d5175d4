// A serving run: what goes through it now, and a way to try one request.
import { useMutation } from "@tanstack/react-query";
import { useId, useState } from "react";
import { useMayOn } from "@/access/may";
import { runRequest } from "@/api/mutations";
import type { Json, Run, ServingStatus } from "@/api/types";
import { CopyButton } from "@/components/copy";
import { Panel } from "@/components/panel";
import { Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Button } from "@/components/ui/button";
import { Input, Textarea } from "@/components/ui/input";
import { usePluralOf } from "@/kinds/access";
import { count, rate } from "@/lib/format";
import { isRunOver } from "@/lib/state";

export function ServingPanel({ run, serving }: { run: Run; serving: ServingStatus }) {
  const mayDo = useMayOn(usePluralOf()(run.kind), run.resource.name);
  const over = isRunOver(run.state);
  const numbers: [string, string, string][] = [
    ["Rate", rate(serving.rate), "/s"],
    ["p50", rate(serving.p50_ms), "ms"],
    ["p95", rate(serving.p95_ms), "ms"],
    ["Queued", count(serving.queued), ""],
    ["In flight", count(serving.in_flight), ""],
    ["Answered", count(serving.answered), ""],
    ["Failed", count(serving.failed), ""],
  ];
  return (
    <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1fr)_minmax(0,1.2fr)]">
      <Panel title="Serving" aside={over ? <State state="stopped" word="Intake closed" /> : <State state={serving.ready ? "ready" : "starting"} />}>
        <dl className="grid grid-cols-2 gap-px overflow-hidden rounded-b-lg bg-line sm:grid-cols-4 xl:grid-cols-4">
          {numbers.map(([label, value, unit]) => (
            <div key={label} className="bg-panel px-3.5 py-2.5 last:col-span-2 last:sm:col-span-2">
              <dt className="text-xs text-ink3">{label}</dt>
              <dd>
                <b className={label === "Failed" && serving.failed > 0 ? "text-lg font-[560] text-bad" : "text-lg font-[560]"}>{value}</b>
                <span className="ml-1 text-2xs text-ink3">{unit}</span>
              </dd>
            </div>
          ))}
        </dl>
      </Panel>
      {mayDo("request") ? <RequestTester run={run} closed={over || !serving.ready} /> : null}
    </div>
  );
}

function RequestTester({ run, closed }: { run: Run; closed: boolean }) {
  const id = useId();
  const [text, setText] = useState('{"text": "A sentence to try."}');
  const [timeout, setTimeoutText] = useState("10000");
  const [wrong, setWrong] = useState<string | null>(null);
  const send = useMutation({
    mutationFn: async (item: Json) => {
      const from = performance.now();
      const { result } = await runRequest(run.id, item, Number(timeout) || 10_000);
      return { result, ms: performance.now() - from };
    },
  });
  const submit = () => {
    try {
      const item = JSON.parse(text) as Json;
      setWrong(null);
      send.mutate(item);
    } catch (error) {
      setWrong(`This is not JSON: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  const shown = send.data ? JSON.stringify(send.data.result, null, 2) : null;
  return (
    <Panel title="Try a request" aside={`POST /api/v1/runs/${encodeURIComponent(run.ref)}/requests`}>
      <form
        className="space-y-2.5 p-3.5"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <div>
          <label htmlFor={id} className="mb-1 block text-xs text-ink2">
            Item, as JSON
          </label>
          <Textarea
            id={id}
            value={text}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
            }}
            spellCheck={false}
            rows={3}
            aria-invalid={wrong ? true : undefined}
            className="font-mono text-xs"
          />
          {wrong ? (
            <p role="alert" className="mt-1 text-xs text-bad">
              {wrong}
            </p>
          ) : null}
        </div>
        <div className="flex flex-wrap items-center gap-2">
          <label htmlFor={`${id}-timeout`} className="text-xs text-ink2">
            Give up after
          </label>
          <Input id={`${id}-timeout`} value={timeout} onChange={(event) => setTimeoutText(event.target.value)} inputMode="numeric" className="w-20 text-right" />
          <span className="text-xs text-ink2">ms</span>
          <Button type="submit" variant="primary" className="ml-auto" disabled={closed || send.isPending} title={closed ? "The intake is closed" : undefined}>
            {send.isPending ? "Waiting for the answer…" : "Send"}
          </Button>
        </div>
        {send.isError ? <Failure what="No answer" error={send.error} className="rounded-md border" /> : null}
        {shown !== null && send.data ? (
          <div className="rounded-md border">
            <div className="flex items-center gap-2 border-b px-2.5 py-1 text-xs text-ink2">
              <State state="succeeded" word="Answered" /> in {Math.round(send.data.ms)} ms
              <CopyButton text={shown} className="ml-auto" />
            </div>
            <pre data-testid="answer" className="mono max-h-48 overflow-auto px-2.5 py-2 break-all whitespace-pre-wrap">
              {shown}
            </pre>
          </div>
        ) : null}
      </form>
    </Panel>
  );
}
