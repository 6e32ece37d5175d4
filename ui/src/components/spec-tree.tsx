// A spec as a person reads it: names, values, and what the schema says each one is.
import type { Json, JsonSchema } from "@/api/types";
import { inlineJson } from "@/lib/format";

function resolve(schema: JsonSchema | undefined, root: JsonSchema): JsonSchema | undefined {
  const ref = schema?.$ref ?? schema?.allOf?.[0]?.$ref ?? schema?.anyOf?.find((each) => each.$ref)?.$ref;
  if (!ref) return schema;
  return { ...root.$defs?.[ref.split("/").at(-1) ?? ""], ...(schema?.description ? { description: schema.description } : {}) };
}

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function Entry({ name, value, schema, root, depth }: { name: string; value: Json; schema: JsonSchema | undefined; root: JsonSchema; depth: number }) {
  const known = resolve(schema, root);
  const nested = isObject(value) ? Object.entries(value) : Array.isArray(value) && value.some(isObject) ? value.map((each, i): [string, Json] => [String(i), each]) : null;
  return (
    <>
      <div className="grid grid-cols-[minmax(96px,200px)_minmax(0,1fr)] gap-3 border-t py-1.5 pr-3.5" style={{ paddingLeft: 14 + depth * 16 }}>
        <dt className="mono truncate text-ink2" title={known?.description}>
          {name}
        </dt>
        <dd className="min-w-0">
          {nested ? (
            <span className="text-ink3">{nested.length === 0 ? "empty" : known?.title}</span>
          ) : (
            <span className="mono break-words whitespace-pre-wrap">{inlineJson(value)}</span>
          )}
          {known?.description ? <div className="text-xs text-ink3">{known.description}</div> : null}
        </dd>
      </div>
      {nested?.map(([key, each]) => (
        <Entry
          key={key}
          name={key}
          value={each}
          root={root}
          depth={depth + 1}
          schema={
            Array.isArray(value)
              ? typeof known?.items === "object"
                ? known.items
                : undefined
              : (known?.properties?.[key] ?? (typeof known?.additionalProperties === "object" ? known.additionalProperties : undefined))
          }
        />
      ))}
    </>
  );
}

export function SpecTree({ value, schema }: { value: { [key: string]: Json }; schema: JsonSchema }) {
  return (
    <dl className="pb-1 [&>div:first-child]:border-t-0">
      {Object.entries(value).map(([key, each]) => (
        <Entry key={key} name={key} value={each} schema={schema.properties?.[key]} root={schema} depth={0} />
      ))}
    </dl>
  );
}
