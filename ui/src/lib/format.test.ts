import { describe, expect, it } from "vitest";
import { absolute, age, batchTime, bytes, clock, count, duration, inlineJson, percent, rate, relative, shortId } from "./format";

describe("numbers", () => {
  it("show what is unknown as unknown, never as zero", () => {
    for (const show of [count, rate, bytes, duration]) expect(show(null)).toBe("–");
    expect(count(0)).toBe("0");
    expect(percent(3, null)).toBeNull();
    expect(percent(3, 0)).toBeNull();
  });

  it("carry units", () => {
    expect(count(1234567)).toBe("1,234,567");
    expect([0, 0.456, 12.44, 1234].map((value) => rate(value))).toEqual(["0", "0.46", "12.4", "1,234"]);
    expect([999, 1000, 1_284_113, 999_600].map((value) => bytes(value))).toEqual(["999 B", "1.0 kB", "1.3 MB", "1.0 MB"]);
  });

  it("write durations the way people do", () => {
    expect([0.85, 4.21, 48, 59.6, 728, 11_100, 187_200].map((value) => duration(value))).toEqual([
      "850 ms",
      "4.2 s",
      "48 s",
      "1m 00s",
      "12m 08s",
      "3h 05m",
      "2d 4h",
    ]);
    expect(duration(-3)).toBe("0 ms");
    expect([null, 0.000009, 0.0012, 0.063, 4.21].map((value) => batchTime(value))).toEqual(["–", "9 µs", "1.2 ms", "63 ms", "4.2 s"]);
  });
});

describe("times", () => {
  const at = Date.UTC(2026, 10, 20, 12, 10, 19, 204);

  it("are UTC by default, with seconds and the zone", () => {
    expect(absolute(at, "utc")).toBe("2026-11-20 12:10:19 UTC");
    expect(clock(at, "utc", true)).toBe("12:10:19.204");
    expect(clock(Date.UTC(2026, 0, 1), "utc")).toBe("00:00:00");
  });

  it("are relative in both directions", () => {
    expect(relative(at, at + 900)).toBe("now");
    expect(relative(at, at + 42_000)).toBe("42 s ago");
    expect(relative(at + 120_000, at)).toBe("in 2 min");
    expect(relative(at, at + 30 * 3_600_000)).toBe("30 h ago");
    expect(age(at, at - 5000)).toBe("0 s");
  });
});

it("shortens ids so that those of one moment differ", () => {
  const [a, b] = ["0193a001-7c1e-7000-8000-00000000aaaa", "0193a001-7c1e-7000-8000-00000000bbbb"];
  expect(shortId(a)).not.toBe(shortId(b));
  expect(shortId("short")).toBe("short");
});

it("shows JSON on one line", () => {
  expect(inlineJson({ a: [1, null] })).toBe('{"a":[1,null]}');
  expect(inlineJson("text")).toBe("text");
  expect(inlineJson(undefined)).toBe("–");
});
