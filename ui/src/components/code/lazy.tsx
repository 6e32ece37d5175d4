// The doors to what is heavy: editor, diff and YAML come as chunks of their own when first needed.
import { lazy, Suspense, useEffect, useState } from "react";
import type { Json } from "@/api/types";
import { Skeleton } from "@/components/ui/skeleton";
import type { CodeEditorProps } from "./editor";

const Editor = lazy(() => import("./editor"));
const Diff = lazy(() => import("./diff"));

function Waiting() {
  return (
    <div className="space-y-2 p-3.5" role="status">
      <span className="sr-only">Loading</span>
      {[42, 30, 56, 48, 36].map((width) => (
        <Skeleton key={width} className="h-3.5" style={{ width: `${width}%` }} />
      ))}
    </div>
  );
}

export function Code(props: CodeEditorProps) {
  return (
    <Suspense fallback={<Waiting />}>
      <Editor {...props} />
    </Suspense>
  );
}

/** YAML text of a value, once the writer has been loaded. */
export function useYaml(value: Json | null | undefined): string | null {
  const [made, setMade] = useState<{ of: Json | null | undefined; text: string } | null>(null);
  useEffect(() => {
    if (value === null || value === undefined) return;
    let left = false;
    void import("./yaml").then(({ toYaml }) => {
      if (!left) setMade({ of: value, text: toYaml(value) });
    });
    return () => {
      left = true;
    };
  }, [value]);
  return made && made.of === value ? made.text : null;
}

export function YamlView({ value, label, className }: { value: Json | null | undefined; label: string; className?: string }) {
  const text = useYaml(value);
  return text === null ? <Waiting /> : <Code value={text} label={label} className={className} />;
}

export function SpecDiff({ before, after, labels }: { before: Json; after: Json; labels: [string, string] }) {
  const left = useYaml(before);
  const right = useYaml(after);
  if (left === null || right === null) return <Waiting />;
  return (
    <Suspense fallback={<Waiting />}>
      <Diff before={left} after={right} labels={labels} />
    </Suspense>
  );
}
