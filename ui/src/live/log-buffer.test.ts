import { expect, it, vi } from "vitest";
import type { LogLine } from "@/api/types";
import { LogBuffer } from "./log-buffer";

const line = (n: number): LogLine => ({ n, attempt: 1, stage: null, stream: "stdout", level: "info", at: "", text: `${n}` });
const numbers = (buffer: LogBuffer) => buffer.lines.map((each) => each.n);

it("holds each line once, in order, however they arrive", () => {
  const buffer = new LogBuffer();
  buffer.append([line(12), line(10), line(11), line(11)]);
  expect(buffer.append([line(11), line(12)])).toBe(0);
  buffer.append([line(12), line(13)]);
  buffer.prepend([line(9), line(8), line(10)]);
  expect(numbers(buffer)).toEqual([8, 9, 10, 11, 12, 13]);
  expect([buffer.firstN, buffer.lastN]).toEqual([8, 13]);
});

it("tells its listeners once a batch, and not when nothing is new", () => {
  const buffer = new LogBuffer();
  const told = vi.fn();
  buffer.subscribe(told);
  buffer.append(Array.from({ length: 5000 }, (_, n) => line(n)));
  buffer.append([line(3)]);
  expect(told).toHaveBeenCalledOnce();
});
