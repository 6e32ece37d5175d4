// A first document for a kind that has none of its own: its example, else its required fields with defaults from its schema.
import type { Json, JsonObject, JsonSchema, KindInfo } from "@/api/types";
import { toYaml } from "@/components/code/yaml";

const DEPTH = 5;

export function exampleOf(schema: JsonSchema | undefined, root: JsonSchema, depth = 0): Json {
  if (!schema || depth > DEPTH) return null;
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum?.length) return schema.enum[0] ?? null;
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1) ?? "";
    return exampleOf(root.$defs?.[name], root, depth + 1);
  }
  const choice = schema.oneOf?.[0] ?? schema.anyOf?.find((each) => each.type !== "null") ?? schema.allOf?.[0];
  if (choice) return exampleOf(choice, root, depth + 1);
  const type = Array.isArray(schema.type) ? schema.type.find((each) => each !== "null") : schema.type;
  switch (type) {
    case "object": {
      const made: JsonObject = {};
      for (const key of schema.required ?? []) made[key] = exampleOf(schema.properties?.[key], root, depth + 1);
      return made;
    }
    case "array":
      return [];
    case "integer":
    case "number":
      return schema.minimum ?? 0;
    case "boolean":
      return false;
    case "string":
      return "";
    default:
      return null;
  }
}

export function starterOf(kind: KindInfo): Promise<string> {
  const spec = kind.example ?? exampleOf(kind.schema, kind.schema);
  return Promise.resolve(
    toYaml({
      apiVersion: "quarterdeck/v1",
      kind: kind.kind,
      metadata: { name: `my-${kind.kind.toLowerCase()}` },
      spec: typeof spec === "object" && spec !== null ? spec : {},
    }),
  );
}
