// A spec as a person reads it: names, values, and what the schema says each one is.
import type { Json, JsonSchema } from "@/api/types";
import { inlineJson } from "@/lib/format";
import { memberSchema, resolved } from "@/lib/schema";
import { Prose } from "./prose";

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function Entry({ name, value, schema, root, depth }: { name: string; value: Json; schema: JsonSchema | undefined; root: JsonSchema; depth: number }) {
  const known = resolved(schema, root, value);
  const nested = isObject(value) ? Object.entries(value) : Array.isArray(value) && value.some(isObject) ? value.map((each, i): [string, Json] => [String(i), each]) : null;
  return (
    <>
      <div className="grid grid-cols-[minmax(88px,34%)_minmax(0,1fr)] sm:grid-cols-[200px_minmax(0,1fr)] items-baseline gap-3 border-t px-3.5 py-1.5">
        <dt className="mono truncate text-ink2" style={{ paddingLeft: depth * 16 }} title={name}>
          {name}
        </dt>
        <dd className="min-w-0">
          {nested ? (
            <span className="text-ink3">{nested.length === 0 ? "empty" : known?.title}</span>
          ) : (
            <span className="mono break-words whitespace-pre-wrap">{Array.isArray(value) ? value.map(inlineJson).join(", ") : inlineJson(value)}</span>
          )}
          {known?.description ? (
            <div className="text-xs text-ink3">
              <Prose>{known.description}</Prose>
            </div>
          ) : null}
        </dd>
      </div>
      {nested?.map(([key, each]) => (
        <Entry
          key={key}
          name={key}
          value={each}
          root={root}
          depth={depth + 1}
          schema={memberSchema(known, value, key)}
        />
      ))}
    </>
  );
}

export function SpecTree({ value, schema }: { value: { [key: string]: Json }; schema: JsonSchema }) {
  const known = resolved(schema, schema, value);
  return (
    <dl className="pb-1 [&>div:first-child]:border-t-0">
      {Object.entries(value).map(([key, each]) => (
        <Entry key={key} name={key} value={each} schema={known?.properties?.[key]} root={schema} depth={0} />
      ))}
    </dl>
  );
}
