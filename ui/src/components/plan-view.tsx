// A plan: its steps with what each acts on, its risk and its difference; what was checked; what must hold, what will, who feels it.
import { Link } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { Plan, PlanStep } from "@/api/types";
import { useKinds } from "@/kinds/access";
import { cn } from "@/lib/cn";
import { plural as counted } from "@/lib/format";
import { factText, type Risk, targetOf } from "@/lib/plan";
import type { Tone } from "@/lib/state";
import { ChangeList } from "./change-list";
import { State } from "./state";

const RISK: Record<Risk, Tone> = { low: "idle", medium: "warn", high: "bad" };

export function RiskTag({ risk }: { risk: Risk }) {
  return <State state={risk} tone={RISK[risk]} word={`${risk.charAt(0).toUpperCase()}${risk.slice(1)} risk`} />;
}

export function TargetLink({ target, className }: { target: string; className?: string }) {
  const plurals = useKinds().map((kind) => kind.plural);
  const found = targetOf(target, plurals);
  if (!found) return <span className={className}>{target}</span>;
  return "run" in found ? (
    <Link to="/runs/$run" params={{ run: found.run }} search={{}} className={cn("link", className)}>
      {target}
    </Link>
  ) : (
    <Link to="/$plural/$name" params={found} search={{}} className={cn("link", className)}>
      {target}
    </Link>
  );
}

/** The difference that a step makes, opened by its button. */
export function StepChanges({ step, open: first }: { step: PlanStep; open: boolean }) {
  const [open, setOpen] = useState(first);
  if (step.changes.length === 0) return null;
  return (
    <div className="mt-1">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="-ml-1 inline-flex items-center gap-1 rounded text-xs text-ink2 hover:text-ink max-sm:min-h-11"
      >
        <ChevronRight className={cn("size-3.5 transition-transform", open && "rotate-90")} aria-hidden />
        {counted(step.changes.length, "change")}
      </button>
      {open ? (
        <div className="mt-1 max-h-80 overflow-y-auto rounded-md border">
          <ChangeList changes={step.changes} />
        </div>
      ) : null}
    </div>
  );
}

export function PlanSteps({ plan, open = true }: { plan: Plan; open?: boolean }) {
  if (plan.steps.length === 0) return <p className="px-3.5 py-2.5 text-ink2">There is nothing to do.</p>;
  return (
    <ol>
      {plan.steps.map((step, i) => (
        <li key={step.name} className="grid grid-cols-[20px_minmax(0,1fr)_auto] items-start gap-x-2.5 border-t px-3.5 py-2 first:border-t-0">
          <span className="text-ink3">{i + 1}</span>
          <div className="min-w-0">
            <div className="break-words">{step.title}</div>
            <TargetLink target={step.target} className="mono break-all" />
            <StepChanges step={step} open={open} />
          </div>
          <RiskTag risk={step.risk} />
        </li>
      ))}
    </ol>
  );
}

export function Gates({ gates }: { gates: Plan["gates"] }) {
  return (
    <ul>
      {gates.map((gate) => (
        <li key={gate.name} className="flex flex-wrap items-baseline gap-x-2.5 gap-y-0.5 border-t px-3.5 py-2 first:border-t-0">
          <State state={gate.state} />
          <b className="font-[560]">{gate.name}</b>
          <span className="min-w-0 break-words text-ink2">{gate.evidence}</span>
        </li>
      ))}
    </ul>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="border-t px-3.5 py-2 first:border-t-0">
      <h3 className="mb-0.5 text-xs text-ink3">{title}</h3>
      {children}
    </div>
  );
}

/** What must be so when it is applied, what will be so afterwards, who feels it, what it holds meanwhile. */
export function PlanTerms({ plan }: { plan: Plan }) {
  return (
    <>
      {plan.postconditions.length > 0 ? (
        <Section title="Afterwards">
          <ul>
            {plan.postconditions.map((text) => (
              <li key={text} className="break-words">
                {text}
              </li>
            ))}
          </ul>
        </Section>
      ) : null}
      {plan.affected.length > 0 ? (
        <Section title="Affected">
          <ul>
            {plan.affected.map((each, i) => (
              <li key={i} className="break-words">
                <b className="font-[560]">{each.name}</b> <span className="text-ink2">{each.why}</span>
              </li>
            ))}
          </ul>
        </Section>
      ) : null}
      {plan.preconditions.length > 0 ? (
        <Section title="Refused unless it is still so">
          <dl className="grid grid-cols-[minmax(0,auto)_minmax(0,1fr)] gap-x-4">
            {plan.preconditions.map(({ subject, expected }) => (
              <div key={subject} className="contents">
                <dt className="break-words text-ink2">{subject}</dt>
                <dd className="break-words">{factText(expected)}</dd>
              </div>
            ))}
          </dl>
        </Section>
      ) : null}
      {plan.locks.length > 0 ? (
        <Section title="Locks while it is carried out">
          <p className="mono break-all">{plan.locks.join(", ")}</p>
        </Section>
      ) : null}
    </>
  );
}
