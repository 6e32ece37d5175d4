// Changes as a person reads them: what was made or removed as a whole is said field by field, without those that are empty.
import type { Change, Json } from "@/api/types";

/** Of one value: more fields than these are better read in the document itself. */
const MOST = 24;

function isEmpty(value: Json): boolean {
  return value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
}

function leaves(pointer: string, value: Json): [string, Json][] {
  if (typeof value !== "object" || value === null) return [[pointer, value]];
  if (Array.isArray(value) && value.every((each) => typeof each !== "object")) return [[pointer, value]];
  return Object.entries(value)
    .filter(([, each]) => !isEmpty(each))
    .flatMap(([key, each]) => leaves(`${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`, each));
}

export function byField(changes: readonly Change[]): Change[] {
  return changes.flatMap((change) => {
    const side = change.op === "add" ? "after" : change.op === "remove" ? "before" : null;
    const value = side ? change[side] : undefined;
    if (!side || typeof value !== "object" || value === null) return [change];
    const found = leaves(change.pointer, value);
    return found.length === 0 || found.length > MOST ? [change] : found.map(([pointer, each]) => ({ ...change, pointer, [side]: each }));
  });
}
