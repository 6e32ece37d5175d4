import { expect, it } from "vitest";
import { partsOf } from "./explain";

const id = "01936f2e-7c1a-7000-8000-0000000000ab";

it("makes a link of each job that a sentence names", () => {
  expect(partsOf(`It waits for the lock a, which x of owner holds (job ${id}).`)).toEqual([
    { text: "It waits for the lock a, which x of owner holds (" },
    { text: "job …0000ab", job: id },
    { text: ")." },
  ]);
  expect(partsOf(`It was applied; jobs/${id} carries it out.`)[1]).toEqual({ text: "job …0000ab", job: id });
});

it("leaves other text as it is", () => {
  expect(partsOf("It has no job yet.")).toEqual([{ text: "It has no job yet." }]);
  expect(partsOf("")).toEqual([]);
});
