// Starts a run: asks for the params of the published spec, says what will happen, goes to the run.
import { useNavigate } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { useId, useMemo, useState } from "react";
import { ApiError } from "@/api/error";
import { runStart } from "@/api/mutations";
import type { JsonObject, PlannedChange, ResourceDetail } from "@/api/types";
import { type FieldViolation, fieldsOf, typedFrom, valuesFrom, violationsOf } from "@/lib/param-form";
import { useJobMutation } from "@/lib/use-job";
import { ParamForm } from "./param-form";
import { PlanPreview, useRefusal } from "./plan-preview";
import { Failure } from "./situation";
import { Button } from "./ui/button";
import { Dialog, DialogBody, DialogClose, DialogContent, DialogFooter, DialogHeader } from "./ui/dialog";

export function StartRunDialog({
  plural,
  resource,
  open,
  onOpenChange,
}: {
  plural: string;
  resource: ResourceDetail;
  open: boolean;
  onOpenChange: (open: boolean) => void;
}) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange}>
      <DialogContent>
        <StartRun plural={plural} resource={resource} close={() => onOpenChange(false)} />
      </DialogContent>
    </Dialog>
  );
}

function StartRun({ plural, resource, close }: { plural: string; resource: ResourceDetail; close: () => void }) {
  const navigate = useNavigate();
  const fields = useMemo(() => fieldsOf(resource.params_schema), [resource.params_schema]);
  const [typed, setTyped] = useState(() => typedFrom(fields));
  const [own, setOwn] = useState<FieldViolation[]>([]);
  const start = useJobMutation({
    start: (params: JsonObject, key) => runStart(plural, resource.name, { params }, key),
    title: () => `start ${resource.name}`,
    onStarted: ({ run, job }) => {
      close();
      const id = run?.id ?? job.run_id;
      if (id) void navigate({ to: "/runs/$run", params: { run: id }, search: {} });
    },
  });
  const remote = start.error instanceof ApiError ? start.error.violations : [];
  const violations = own.length > 0 ? own : remote;
  const placed = fields.some((field) => violationsOf(field.name, remote).length > 0);
  const published = resource.published;
  const now = valuesFrom(fields, typed);
  const change: PlannedChange | null =
    published && now.violations.length === 0 ? { operation: "run", kind: plural, name: resource.name, params: now.values } : null;
  const refused = useId();
  // Known once the plan was looked at.
  const refusal = useRefusal(change, false);

  return (
    <form
      className="contents"
      onSubmit={(event) => {
        event.preventDefault();
        const { values, violations: found } = valuesFrom(fields, typed);
        setOwn(found);
        if (found.length === 0 && published && !refusal) start.mutate(values);
      }}
    >
      <DialogHeader
        title={`Start a run of ${resource.name}`}
        description={
          published ? (
            <>
              Runs published revision <b className="font-[560] text-ink">r{published.number}</b>.
              {resource.changed ? " Changes in the working copy are not part of it." : ""}
            </>
          ) : (
            "Nothing is published yet, so there is nothing to run."
          )
        }
      />
      <DialogBody className="space-y-4">
        {fields.length > 0 ? (
          <ParamForm
            fields={fields}
            typed={typed}
            onChange={(next) => {
              setTyped(next);
              setOwn([]);
            }}
            violations={violations}
          />
        ) : (
          <p className="text-ink2">This revision takes no params.</p>
        )}
        {change ? <PlanPreview change={change} kept={change} lazy /> : null}
        {start.isError && !placed ? <Failure what="The run was not started" error={start.error} className="rounded-md border" /> : null}
      </DialogBody>
      <DialogFooter>
        {fields.length > 0 ? (
          <Button
            variant="ghost"
            className="mr-auto"
            onClick={() => {
              setTyped(typedFrom(fields));
              setOwn([]);
            }}
          >
            Back to defaults
          </Button>
        ) : null}
        {refusal ? (
          <p id={refused} className="min-w-0 text-xs text-ink2">
            {refusal}
          </p>
        ) : null}
        <DialogClose asChild>
          <Button>Cancel</Button>
        </DialogClose>
        <Button type="submit" variant="primary" disabled={!published || start.isPending || refusal !== null} aria-describedby={refusal ? refused : undefined}>
          <Play aria-hidden />
          {start.isPending ? "Starting…" : "Start run"}
        </Button>
      </DialogFooter>
    </form>
  );
}
