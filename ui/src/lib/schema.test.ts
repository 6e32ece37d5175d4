import { expect, it } from "vitest";
import type { JsonSchema } from "@/api/types";
import { resolved } from "./schema";

const secret: JsonSchema = { oneOf: [{ type: "string", description: "A secret" }, { type: "object", required: ["env"], properties: { env: { type: "string" } } }, { type: "object", required: ["file"] }] };
const schema: JsonSchema = {
  oneOf: [
    { title: "Ray", type: "object", required: ["type"], properties: { type: { type: "string", enum: ["ray"] } } },
    { title: "Http", type: "object", required: ["type"], properties: { type: { type: "string", enum: ["http"] }, token: { description: "Sent along", anyOf: [secret, { type: "null" }] } } },
    { $ref: "#/$defs/S3" },
  ],
  $defs: { S3: { title: "S3", type: "object", required: ["type"], properties: { type: { const: "s3" } } } },
};

it("takes of several schemas the one that the value is of", () => {
  const title = (value?: Parameters<typeof resolved>[2]) => resolved(schema, schema, value)?.title;
  expect(title({ type: "http" })).toBe("Http");
  expect(title({ type: "s3" })).toBe("S3");
  expect(title({ type: "unheard" })).toBe("Ray");
  expect(title()).toBe("Ray");
});

it("looks through what may also be null, and keeps the outer description", () => {
  const token = resolved(schema, schema, { type: "http" })?.properties?.token;
  expect(resolved(token, schema, "secret://a")).toMatchObject({ type: "string", description: "Sent along" });
  expect(resolved(token, schema, { env: "A" })?.required).toEqual(["env"]);
  expect(resolved(token, schema, { file: "/a" })?.required).toEqual(["file"]);
});
