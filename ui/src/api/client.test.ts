import { afterEach, describe, expect, it, vi } from "vitest";
import { api, apiUrl, onSessionEnded } from "./client";
import { adviceFor, ApiError } from "./error";

function answer(status: number, body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const type = typeof body === "string" ? "text/html" : status >= 400 ? "application/problem+json" : "application/json";
  return vi.fn(() => Promise.resolve(new Response(status === 204 ? null : text, { status, headers: { "content-type": type, ...headers } })));
}
afterEach(() => vi.unstubAllGlobals());

async function failure(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

describe("a refused request", () => {
  it("becomes one typed error with code, detail, correlation and violations", async () => {
    const errors = [{ pointer: "/spec/stages/4/uses", code: "class_not_found", detail: "no such class" }];
    vi.stubGlobal("fetch", answer(422, { status: 422, code: "spec_invalid", detail: "1 violation", correlation_id: "c-1", errors }));
    const error = await failure(api.get("/pipelines/x"));
    expect(error).toMatchObject({ status: 422, code: "spec_invalid", message: "1 violation", correlationId: "c-1", violations: errors });
    expect(adviceFor(error)).toMatch(/Correct/);
  });

  it("takes the correlation id of the header where the body has none, also for a body that is no JSON", async () => {
    vi.stubGlobal("fetch", answer(502, "<h1>Bad gateway</h1>", { "x-correlation-id": "c-2" }));
    const error = await failure(api.get("/runs"));
    expect(error).toMatchObject({ status: 502, code: "http_502", correlationId: "c-2", violations: [] });
  });

  it("says so when the server does not answer at all", async () => {
    vi.stubGlobal("fetch", vi.fn(() => Promise.reject(new TypeError("Failed to fetch"))));
    const error = await failure(api.get("/runs"));
    expect(error).toMatchObject({ status: 0, code: "unreachable" });
    expect(adviceFor(error)).toMatch(/qd is running/);
  });

  it("ends the session on 401, and only then", async () => {
    const ended = vi.fn();
    onSessionEnded(ended);
    vi.stubGlobal("fetch", answer(403, { status: 403, code: "forbidden" }));
    await failure(api.get("/me"));
    expect(ended).not.toHaveBeenCalled();
    vi.stubGlobal("fetch", answer(401, { status: 401, code: "unauthenticated" }));
    await failure(api.get("/me"));
    expect(ended).toHaveBeenCalledOnce();
  });
});

describe("a request", () => {
  it("carries version, idempotency key and body", async () => {
    const fetch = answer(200, {});
    vi.stubGlobal("fetch", fetch);
    await api.put("/pipelines/x/working-copy", { body: { spec: {} }, ifMatch: 7, idempotencyKey: "k" });
    const [url, init] = fetch.mock.calls[0] as unknown as [string, RequestInit];
    const headers = init.headers as Headers;
    expect(url).toBe("/api/v1/pipelines/x/working-copy");
    expect(init).toMatchObject({ method: "PUT", body: '{"spec":{}}', credentials: "same-origin" });
    expect([headers.get("if-match"), headers.get("idempotency-key"), headers.get("content-type")]).toEqual(['"7"', "k", "application/json"]);
  });

  it("leaves empty filters out of the address", () => {
    expect(apiUrl("/runs", { state: "", kind: undefined, limit: 50, cursor: null, q: "a b" })).toBe("/api/v1/runs?limit=50&q=a+b");
  });

  it("answers nothing for 204", async () => {
    vi.stubGlobal("fetch", answer(204, ""));
    await expect(api.post("/auth/sign-out")).resolves.toBeUndefined();
  });
});
