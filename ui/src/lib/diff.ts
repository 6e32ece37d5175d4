// The structural difference of two JSON values as a list of pointers, in the same shape as the server's
// revision diff. Used where the server has nothing to compare yet: a working copy against a revision.
import type { Change, Json, JsonSchema } from "@/api/types";
import { memberSchema, resolved } from "./schema";

export function pointerOf(parts: readonly (string | number)[]): string {
  return parts.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

export function partsOf(pointer: string): string[] {
  if (!pointer || pointer === "/") return [];
  return pointer
    .replace(/^#/, "")
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function changesBetween(before: Json | undefined, after: Json | undefined, at: (string | number)[] = []): Change[] {
  if (before === undefined && after === undefined) return [];
  if (before === undefined) return [{ pointer: pointerOf(at), op: "add", after }];
  if (after === undefined) return [{ pointer: pointerOf(at), op: "remove", before }];
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return keys.flatMap((key) => changesBetween(before[key], after[key], [...at, key]));
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    const length = Math.max(before.length, after.length);
    return Array.from({ length }, (_, i) => changesBetween(before[i], after[i], [...at, i])).flat();
  }
  return JSON.stringify(before) === JSON.stringify(after)
    ? []
    : [{ pointer: pointerOf(at), op: "replace", before, after }];
}

/**
 * A spec as its revision would read beside `like`, an earlier revision. A revision has the schema's defaults written out, in the
 * order of its kind; a working copy is as somebody typed it. What differs afterwards is what somebody changed.
 */
export function writtenLike(value: Json, like: Json, schema: JsonSchema | undefined, root: JsonSchema): Json {
  const known = resolved(schema, root, like);
  if (Array.isArray(value) && Array.isArray(like)) {
    return value.map((each, i) => (like[i] === undefined ? each : writtenLike(each, like[i], memberSchema(known, like, String(i)), root)));
  }
  if (!isObject(value) || !isObject(like)) return value;
  const written: { [key: string]: Json } = {};
  for (const [key, there] of Object.entries(like)) {
    const member = memberSchema(known, like, key);
    const own = value[key];
    if (own !== undefined) written[key] = writtenLike(own, there, member, root);
    else if (changesBetween(member?.default, there).length === 0) written[key] = there;
  }
  return { ...written, ...Object.fromEntries(Object.entries(value).filter(([key]) => !(key in written))) };
}
