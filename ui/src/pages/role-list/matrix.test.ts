import { expect, it } from "vitest";
import type { RoleMatrix } from "@/api/types";
import { cellWords, rowsOf } from "./matrix";

const matrix: RoleMatrix = {
  roles: [
    { name: "ADMIN", summary: "", levels: ["tenant"], allows: ["*"] },
    { name: "DEV", summary: "", levels: ["tenant"], allows: ["read", "jobs.cancel"] },
  ],
  actions: ["jobs.cancel", "jobs.list", "secrets.rotate-master", "secrets.write"],
};

it("says for each plural what a role may do with it", () => {
  const rows = rowsOf(matrix);
  expect(rows.map((row) => row.plural)).toEqual(["jobs", "secrets"]);
  const words = (row: number, role: string) => cellWords(rows[row]?.verbs ?? [], rows[row]?.allowed[role] ?? []);
  expect(words(0, "ADMIN")).toBe("all");
  expect(words(0, "DEV")).toBe("all");
  expect(words(1, "ADMIN")).toBe("all");
  expect(words(1, "DEV")).toBe("–");
  expect(cellWords(["cancel", "list", "read"], ["list", "read"])).toBe("reads");
  expect(cellWords(["cancel", "ask", "list"], ["cancel", "list"])).toBe("reads, cancel");
  expect(cellWords(["a", "b", "c", "d"], ["a", "b", "c"])).toBe("3 writes");
});
