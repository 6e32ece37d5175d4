import { expect, it } from "vitest";
import type { JsonSchema } from "@/api/types";
import { formOf, pathOf, secretWords, specOf, typesOf } from "./spec";

const secret: JsonSchema = { oneOf: [{ type: "string", pattern: "^secret://[A-Za-z0-9]" }, { type: "object", required: ["env"] }] };
const root: JsonSchema = {
  oneOf: [
    { type: "object", required: ["type", "address"], properties: { type: { enum: ["ray"] }, address: { type: "string" }, token: secret } },
    {
      type: "object",
      required: ["type", "host"],
      properties: {
        type: { enum: ["postgres"] },
        host: { type: "string" },
        port: { type: "integer", default: 5432 },
        password: { anyOf: [secret, { type: "null" }], description: "Of the user" },
        headers: { type: "object", additionalProperties: secret },
        sslmode: { type: "string", enum: ["disable", "require"], default: "require" },
      },
    },
  ],
};

it("shows the fields of the chosen type, and knows which of them name secrets", () => {
  const types = typesOf(root);
  expect(types.map((type) => type.id)).toEqual(["ray", "postgres"]);
  const postgres = formOf(types[1]!, root);
  expect(postgres.fields.map((field) => [field.name, field.control, field.required])).toEqual([
    ["host", "text", true],
    ["port", "integer", false],
    ["sslmode", "choice", false],
  ]);
  expect(postgres.secrets).toEqual([
    { name: "password", description: "Of the user", required: false, many: false },
    { name: "headers", description: null, required: false, many: true },
  ]);
  expect(formOf(types[0]!, root).secrets.map((field) => field.name)).toEqual(["token"]);
});

it("names a secret by its place and never by a value", () => {
  expect(pathOf("secret://warehouse/password#3")).toBe("warehouse/password");
  expect(pathOf({ env: "A" })).toBeNull();
  expect(secretWords({ env: "RAY_TOKEN" })).toBe("the server's variable RAY_TOKEN");
  expect(secretWords({ file: "/run/a" })).toBe("the server's file /run/a");
  expect(specOf("postgres", { host: "db" }, { password: "secret://a", token: null, headers: {} })).toEqual({ type: "postgres", host: "db", password: "secret://a" });
});
