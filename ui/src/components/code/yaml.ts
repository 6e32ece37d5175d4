// YAML of specs: written the way people write them, and the way back from a JSON pointer to a place in the text.
import { isMap, isSeq, LineCounter, type Node, parseDocument, stringify } from "yaml";
import type { Json, JsonObject, Violation } from "@/api/types";
import { partsOf } from "@/lib/diff";

export function toYaml(value: Json): string {
  return stringify(value, { lineWidth: 110, flowCollectionPadding: false });
}

export interface Marker {
  from: number;
  to: number;
  message: string;
}

export interface Parsed {
  value: JsonObject | null;
  /** What keeps the text from being a document at all. */
  errors: Marker[];
}

export function parseYaml(text: string): Parsed {
  const doc = parseDocument(text, { prettyErrors: false, uniqueKeys: true });
  const errors = doc.errors.map((error) => ({
    from: error.pos[0],
    to: Math.max(error.pos[0] + 1, Math.min(error.pos[1], text.length)),
    message: error.message,
  }));
  if (errors.length > 0) return { value: null, errors };
  let value: unknown;
  try {
    value = doc.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return { value: null, errors: [{ from: 0, to: 1, message: error instanceof Error ? error.message : String(error) }] };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { value: null, errors: [{ from: 0, to: Math.max(1, text.length), message: "The document must be a mapping" }] };
  }
  return { value: value as JsonObject, errors: [] };
}

/** The nearest place in the text that a pointer names: its value, or the last ancestor that exists. */
function placeOf(root: Node | null, parts: string[], text: string): { from: number; to: number } {
  let from = 0;
  let to = text.indexOf("\n") < 0 ? text.length : text.indexOf("\n");
  let node: unknown = root;
  for (const part of parts) {
    if (isMap(node)) {
      const pair = node.items.find((item) => String((item.key as { value?: unknown } | null)?.value) === part);
      const key = pair?.key as Node | null | undefined;
      if (!pair || !key?.range) break;
      const value = pair.value as Node | null;
      from = key.range[0];
      to = value?.range && !isMap(value) && !isSeq(value) ? value.range[1] : key.range[1];
      node = value;
    } else if (isSeq(node)) {
      const item = node.items[Number(part)] as Node | undefined;
      if (!item?.range) break;
      from = item.range[0];
      const end = text.indexOf("\n", from);
      to = end < 0 ? item.range[1] : Math.min(item.range[1], end);
      node = item;
    } else break;
  }
  return { from, to: Math.max(from + 1, to) };
}

/** Markers for violations whose pointers are relative to `prefix` ("/spec" where the text is the spec alone). */
export function markersFor(text: string, violations: readonly Omit<Violation, "code">[], prefix = ""): Marker[] {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  return violations.map((violation) => {
    if (violation.line) {
      const start = lines.lineStarts[violation.line - 1] ?? 0;
      const end = text.indexOf("\n", start);
      const from = Math.min(text.length, start + Math.max(0, (violation.column ?? 1) - 1));
      return { from, to: Math.max(from + 1, end < 0 ? text.length : end), message: violation.detail };
    }
    const pointer = prefix && violation.pointer.startsWith(`${prefix}/`) ? violation.pointer.slice(prefix.length) : violation.pointer;
    return { ...placeOf(doc.contents, partsOf(pointer), text), message: violation.detail };
  });
}
