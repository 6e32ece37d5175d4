// A form from the JSON Schema of a run's params: which fields, with which defaults, and back from what was typed
// to typed values. What is wrong is said by JSON pointer, in the same shape as the server's violations.
import type { Json, JsonObject, JsonSchema, Violation } from "@/api/types";
import { pointerOf } from "./diff";

export type FieldControl = "text" | "number" | "integer" | "boolean" | "choice" | "json";

export interface ParamField {
  name: string;
  label: string;
  description: string | null;
  control: FieldControl;
  required: boolean;
  choices: Json[];
  default: Json | undefined;
  schema: JsonSchema;
  /** What may be written, in a few words: `0 to 1`, `at least 1`. */
  bounds: string | null;
}

/** What the form itself finds wrong has no code. */
export type FieldViolation = Pick<Violation, "pointer" | "detail">;

/** What stands in a control: text for all but switches. */
export type Typed = Record<string, string | boolean>;

function controlOf(schema: JsonSchema): FieldControl {
  if (schema.enum) return "choice";
  const type = Array.isArray(schema.type) ? schema.type.filter((each) => each !== "null")[0] : schema.type;
  switch (type) {
    case "string":
      return "text";
    case "number":
      return "number";
    case "integer":
      return "integer";
    case "boolean":
      return "boolean";
    default:
      return "json";
  }
}

function boundsOf(schema: JsonSchema): string | null {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const over = schema.minimum === undefined && schema.exclusiveMinimum !== undefined;
  const under = schema.maximum === undefined && schema.exclusiveMaximum !== undefined;
  if (low !== undefined && high !== undefined && !over && !under) return `${low} to ${high}`;
  const parts: string[] = [];
  if (low !== undefined) parts.push(over ? `more than ${low}` : `at least ${low}`);
  if (high !== undefined) parts.push(under ? `less than ${high}` : `at most ${high}`);
  if (schema.maxLength !== undefined) parts.push(`at most ${schema.maxLength} characters`);
  return parts.length > 0 ? parts.join(", ") : null;
}

export function fieldsOf(schema: JsonSchema | null): ParamField[] {
  const required = new Set(schema?.required ?? []);
  return Object.entries(schema?.properties ?? {}).map(([name, property]) => ({
    name,
    label: property.title ?? name,
    description: property.description ?? null,
    control: controlOf(property),
    required: required.has(name) && property.default === undefined,
    choices: property.enum ?? [],
    default: property.default,
    schema: property,
    bounds: boundsOf(property),
  }));
}

export function typedFrom(fields: readonly ParamField[], values: JsonObject = {}): Typed {
  const typed: Typed = {};
  for (const field of fields) {
    const value = name(values, field.name) ?? field.default;
    if (field.control === "boolean") typed[field.name] = value === true;
    else if (value === undefined) typed[field.name] = "";
    else if (field.control === "json") typed[field.name] = JSON.stringify(value, null, 2);
    else if (field.control === "choice") typed[field.name] = JSON.stringify(value);
    else typed[field.name] = typeof value === "string" ? value : JSON.stringify(value);
  }
  return typed;
}

function name(values: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(values, key) ? values[key] : undefined;
}

type Read = { value: Json } | { wrong: string } | "absent";

function numberOf(field: ParamField, text: string): Read {
  const value = Number(text);
  const { schema } = field;
  if (!Number.isFinite(value)) return { wrong: "This is not a number" };
  if (field.control === "integer" && !Number.isInteger(value)) return { wrong: "This must be a whole number" };
  if (schema.minimum !== undefined && value < schema.minimum) return { wrong: `This must be at least ${schema.minimum}` };
  if (schema.maximum !== undefined && value > schema.maximum) return { wrong: `This must be at most ${schema.maximum}` };
  if (schema.exclusiveMinimum !== undefined && value <= schema.exclusiveMinimum) {
    return { wrong: `This must be more than ${schema.exclusiveMinimum}` };
  }
  if (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum) {
    return { wrong: `This must be less than ${schema.exclusiveMaximum}` };
  }
  return { value };
}

function read(field: ParamField, typed: string | boolean | undefined): Read {
  if (field.control === "boolean") return { value: typed === true };
  const text = typeof typed === "string" ? typed : "";
  if (field.control === "text") {
    if (text === "" && field.default === undefined) return field.required ? { wrong: "This is needed" } : "absent";
    if (field.schema.maxLength !== undefined && text.length > field.schema.maxLength) {
      return { wrong: `This must be at most ${field.schema.maxLength} characters` };
    }
    if (field.schema.minLength !== undefined && text.length < field.schema.minLength) {
      return { wrong: `This must be at least ${field.schema.minLength} characters` };
    }
    return { value: text };
  }
  if (text.trim() === "") return field.required ? { wrong: "This is needed" } : "absent";
  if (field.control === "number" || field.control === "integer") return numberOf(field, text.trim());
  try {
    return { value: JSON.parse(text) as Json };
  } catch (error) {
    return { wrong: `This is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The typed values; a field that is left empty is left out, so that the spec's default holds. */
export function valuesFrom(fields: readonly ParamField[], typed: Typed): { values: JsonObject; violations: FieldViolation[] } {
  const values: JsonObject = {};
  const violations: FieldViolation[] = [];
  for (const field of fields) {
    const result = read(field, typed[field.name]);
    if (result === "absent") continue;
    if ("wrong" in result) violations.push({ pointer: pointerOf([field.name]), detail: result.wrong });
    else values[field.name] = result.value;
  }
  return { values, violations };
}

/** The violations that belong to a field, whether the server points at `/params/x` or at `/x`. */
export function violationsOf<T extends FieldViolation>(field: string, violations: readonly T[]): T[] {
  const own = pointerOf([field]);
  return violations.filter(({ pointer }) => {
    const at = pointer.startsWith("/params/") ? pointer.slice("/params".length) : pointer;
    return at === own || at.startsWith(`${own}/`);
  });
}
