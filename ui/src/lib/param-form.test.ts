import { describe, expect, it } from "vitest";
import type { JsonSchema } from "@/api/types";
import { fieldsOf, typedFrom, valuesFrom, violationsOf } from "./param-form";

const SCHEMA: JsonSchema = {
  type: "object",
  required: ["name", "limit"],
  properties: {
    name: { type: "string", maxLength: 8 },
    threshold: { type: "number", default: 0.8, minimum: 0, maximum: 1, title: "Threshold" },
    limit: { type: "integer", default: 500, minimum: 1 },
    above: { type: ["number", "null"], exclusiveMinimum: 2 },
    language: { enum: ["en", "de", 3], default: "en" },
    loud: { type: "boolean", default: true },
    fields: { type: "array", default: ["text"] },
  },
};
const fields = fieldsOf(SCHEMA);

describe("fields", () => {
  it("take their control from the type", () => {
    expect(fields.map(({ name, control }) => [name, control])).toEqual([
      ["name", "text"],
      ["threshold", "number"],
      ["limit", "integer"],
      ["above", "number"],
      ["language", "choice"],
      ["loud", "boolean"],
      ["fields", "json"],
    ]);
  });

  it("say their bounds, and are needed only without a default", () => {
    const by = new Map(fields.map((field) => [field.name, field]));
    expect(by.get("threshold")?.bounds).toBe("0 to 1");
    expect(by.get("limit")?.bounds).toBe("at least 1");
    expect(by.get("above")?.bounds).toBe("more than 2");
    expect(by.get("name")?.required).toBe(true);
    expect(by.get("limit")?.required).toBe(false);
  });

  it("are none for no schema", () => {
    expect(fieldsOf(null)).toEqual([]);
    expect(fieldsOf({ type: "object" })).toEqual([]);
  });
});

describe("values", () => {
  it("are the defaults when nothing is touched but what is needed", () => {
    const typed = { ...typedFrom(fields), name: "x" };
    expect(valuesFrom(fields, typed)).toEqual({
      values: { name: "x", threshold: 0.8, limit: 500, language: "en", loud: true, fields: ["text"] },
      violations: [],
    });
  });

  it("keep the type of a choice that is a number", () => {
    const { values } = valuesFrom(fields, { ...typedFrom(fields), name: "x", language: "3" });
    expect(values.language).toBe(3);
  });

  it.each([
    [{ name: "" }, "/name"],
    [{ name: "too long by far" }, "/name"],
    [{ threshold: "1.2" }, "/threshold"],
    [{ threshold: "high" }, "/threshold"],
    [{ limit: "1.5" }, "/limit"],
    [{ limit: "0" }, "/limit"],
    [{ above: "2" }, "/above"],
    [{ fields: "[1," }, "/fields"],
  ])("name what is wrong by its pointer: %o", (typed, pointer) => {
    const { violations } = valuesFrom(fields, { ...typedFrom(fields), name: "x", ...typed });
    expect(violations.map((each) => each.pointer)).toEqual([pointer]);
  });

  it("leave out what is left empty, so that the default of the spec holds", () => {
    const { values } = valuesFrom(fields, { ...typedFrom(fields), name: "x", threshold: " ", above: "" });
    expect(values).not.toHaveProperty("threshold");
    expect(values).not.toHaveProperty("above");
  });
});

it("finds the server's violations of a field, and of what lies in it", () => {
  const violations = [
    { pointer: "/params/fields/0", detail: "a" },
    { pointer: "/fields", detail: "b" },
    { pointer: "/params/fieldset", detail: "c" },
  ];
  expect(violationsOf("fields", violations).map((each) => each.detail)).toEqual(["a", "b"]);
});
