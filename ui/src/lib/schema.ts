// Walking a spec and its JSON Schema side by side.
import type { Json, JsonSchema } from "@/api/types";

/** The schema itself where it is a reference, or one that allows null as well; its own description stays. */
export function resolved(schema: JsonSchema | undefined, root: JsonSchema): JsonSchema | undefined {
  const inner = schema?.$ref ? schema : (schema?.allOf?.[0] ?? (schema?.anyOf ?? schema?.oneOf)?.find((each) => each.type !== "null"));
  if (!schema || !inner) return schema;
  const target = inner.$ref ? root.$defs?.[inner.$ref.split("/").at(-1) ?? ""] : inner;
  return { ...target, ...(schema.description ? { description: schema.description } : {}) };
}

/** The schema of one member of an object or an array. */
export function memberSchema(schema: JsonSchema | undefined, of: Json, key: string): JsonSchema | undefined {
  if (Array.isArray(of)) return typeof schema?.items === "object" ? schema.items : undefined;
  return schema?.properties?.[key] ?? (typeof schema?.additionalProperties === "object" ? schema.additionalProperties : undefined);
}
