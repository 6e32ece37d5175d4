// The structural changes between two specs, each by its JSON pointer.
import type { Change } from "@/api/types";
import { byField } from "@/lib/changes";
import { cn } from "@/lib/cn";
import { inlineJson } from "@/lib/format";
import { factText } from "@/lib/plan";

const OP = {
  add: { sign: "+", word: "added", tone: "text-ok" },
  remove: { sign: "−", word: "removed", tone: "text-bad" },
  replace: { sign: "±", word: "changed", tone: "text-warn" },
};

function Value({ value, className }: { value: unknown; className?: string }) {
  const text = typeof value === "object" && value !== null ? factText(value) : inlineJson(value);
  return (
    <code title={text.length > 160 ? text : undefined} className={cn("mono rounded px-1 break-all", className)}>
      {text.length > 160 ? `${text.slice(0, 158)}…` : text}
    </code>
  );
}

export function ChangeList({ changes }: { changes: readonly Change[] }) {
  return (
    <ul>
      {byField(changes).map((change, i) => {
        const op = OP[change.op];
        return (
          <li key={i} className="grid grid-cols-[20px_minmax(0,1fr)] gap-x-2 border-t px-3.5 py-2 first:border-t-0">
            <span aria-hidden className={cn("mono font-semibold", op.tone)}>
              {op.sign}
            </span>
            <div className="min-w-0">
              <code className="mono font-[560] break-all">{change.pointer || "/"}</code>
              <span className="sr-only"> {op.word}: </span>
              <div className="flex flex-wrap items-baseline gap-x-1.5 text-ink2">
                {change.op !== "add" ? <Value value={change.before} className="bg-del" /> : null}
                {change.op === "replace" ? <span aria-label="to">→</span> : null}
                {change.op !== "remove" ? <Value value={change.after} className="bg-add" /> : null}
              </div>
            </div>
          </li>
        );
      })}
    </ul>
  );
}
