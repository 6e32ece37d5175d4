// What the form of a connection reads of its kind's schema: the types, the fields of one, and which of them name secrets.
import type { Json, JsonObject, JsonSchema } from "@/api/types";
import { fieldsOf, type ParamField } from "@/lib/param-form";
import { resolved } from "@/lib/schema";

export interface ConnectionType {
  id: string;
  schema: JsonSchema;
}

export interface SecretFieldInfo {
  name: string;
  description: string | null;
  required: boolean;
  /** Several by name, as headers are. */
  many: boolean;
}

function typeIdOf(schema: JsonSchema): string | null {
  const type = schema.properties?.type;
  const word = type?.const ?? (type?.enum?.length === 1 ? type.enum[0] : undefined);
  return typeof word === "string" ? word : null;
}

export function typesOf(root: JsonSchema): ConnectionType[] {
  return (root.oneOf ?? root.anyOf ?? []).flatMap((each) => {
    const schema = resolved(each, root) ?? each;
    const id = typeIdOf(schema);
    return id ? [{ id, schema }] : [];
  });
}

function namesSecret(schema: JsonSchema | undefined, root: JsonSchema): boolean {
  const text = resolved(schema, root, "secret://");
  return Boolean(text?.pattern?.includes("secret://"));
}

export function formOf(type: ConnectionType, root: JsonSchema): { fields: ParamField[]; secrets: SecretFieldInfo[] } {
  const required = new Set(type.schema.required ?? []);
  const plain: Record<string, JsonSchema> = {};
  const secrets: SecretFieldInfo[] = [];
  for (const [name, property] of Object.entries(type.schema.properties ?? {})) {
    if (name === "type") continue;
    const values = typeof property.additionalProperties === "object" ? property.additionalProperties : undefined;
    const one = namesSecret(property, root);
    if (one || namesSecret(values, root)) secrets.push({ name, description: property.description ?? null, required: required.has(name), many: !one });
    else plain[name] = resolved(property, root) ?? property;
  }
  return { fields: fieldsOf({ properties: plain, required: [...required] }), secrets };
}

/** A secret as a spec names it, in words. */
export function secretWords(value: Json | undefined): string | null {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  if (typeof value.env === "string") return `the server's variable ${value.env}`;
  if (typeof value.file === "string") return `the server's file ${value.file}`;
  return null;
}

export function pathOf(value: Json | undefined): string | null {
  return typeof value === "string" && value.startsWith("secret://") ? value.slice("secret://".length).replace(/#\d+$/, "") : null;
}

/** The spec of what was typed: fields that are empty are left out, and so are secrets that were taken away. */
export function specOf(type: string, values: JsonObject, secrets: JsonObject): JsonObject {
  const named = Object.entries(secrets).filter(([, value]) => value !== null && !(typeof value === "object" && Object.keys(value).length === 0));
  return { type, ...values, ...Object.fromEntries(named) };
}
