// Walking a spec and its JSON Schema side by side.
import type { Json, JsonSchema } from "@/api/types";

/**
 * The schema itself where it is a reference, or one of several that are allowed; its own description stays. Of several, the one
 * that the value is of, where a value is given, else the first that is not null.
 */
export function resolved(schema: JsonSchema | undefined, root: JsonSchema, value?: Json): JsonSchema | undefined {
  if (!schema) return schema;
  const several = schema.anyOf ?? schema.oneOf;
  const inner = schema.$ref ? schema : (schema.allOf?.[0] ?? (several ? chosen(several, root, value) : undefined));
  if (!inner) return schema;
  const target = inner.$ref ? root.$defs?.[inner.$ref.split("/").at(-1) ?? ""] : inner;
  const described = { ...target, ...(schema.description ? { description: schema.description } : {}) };
  return target && (target.anyOf ?? target.oneOf) && target !== schema ? resolved(described, root, value) : described;
}

function chosen(several: JsonSchema[], root: JsonSchema, value: Json | undefined): JsonSchema | undefined {
  const known = several.filter((each) => each.type !== "null");
  if (value === undefined) return known[0];
  return known.find((each) => isOf(value, resolved(each, root) ?? each)) ?? known[0];
}

/** Whether a value is of a schema, by its type and by what is fixed in it: enough to tell alternatives apart. */
function isOf(value: Json, schema: JsonSchema): boolean {
  if (schema.const !== undefined) return schema.const === value;
  if (schema.enum) return schema.enum.includes(value);
  const types = typeof schema.type === "string" ? [schema.type] : schema.type;
  if (types && !types.includes(typeOf(value)) && !(typeof value === "number" && types.includes("number"))) return false;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return true;
  if (schema.required?.some((key) => !(key in value))) return false;
  return Object.entries(schema.properties ?? {}).every(([key, member]) => {
    const fixed = member.const !== undefined || member.enum?.length === 1;
    return !fixed || value[key] === undefined || isOf(value[key], member);
  });
}

function typeOf(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "number" && Number.isInteger(value) ? "integer" : typeof value;
}

/** The schema of one member of an object or an array. */
export function memberSchema(schema: JsonSchema | undefined, of: Json, key: string): JsonSchema | undefined {
  if (Array.isArray(of)) return typeof schema?.items === "object" ? schema.items : undefined;
  return schema?.properties?.[key] ?? (typeof schema?.additionalProperties === "object" ? schema.additionalProperties : undefined);
}
