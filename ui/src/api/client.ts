// The one place that calls fetch. It knows headers, problem documents and the end of a session; it knows no
// resource. Cookies carry the session, so nothing secret is held in this page.
import { ApiError } from "./error";
import { scopePrefix } from "./scope";
import type { Json } from "./types";

export type Query = Record<string, string | number | boolean | null | undefined>;

export interface Request {
  query?: Query;
  body?: unknown;
  /** Sends `body` as this text instead of JSON. */
  text?: { content: string; type: string };
  ifMatch?: number | string;
  /** Set for requests that create a job; a retry of the same intent passes the same key. */
  idempotencyKey?: string;
  signal?: AbortSignal;
}

let sessionEnded: () => void = () => {};

/** Called once by the router: what to do when the server says that nobody is signed in. */
export function onSessionEnded(handler: () => void): void {
  sessionEnded = handler;
}

export function newIdempotencyKey(): string {
  return crypto.randomUUID();
}

export function apiUrl(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  return `${scopePrefix}/api/v1${path}${text ? `?${text}` : ""}`;
}

export async function send(method: string, path: string, request: Request = {}): Promise<Response> {
  const headers = new Headers({ accept: "application/json, application/problem+json" });
  let body: string | undefined;
  if (request.text) {
    headers.set("content-type", request.text.type);
    body = request.text.content;
  } else if (request.body !== undefined) {
    headers.set("content-type", "application/json");
    body = JSON.stringify(request.body);
  }
  if (request.ifMatch !== undefined) headers.set("if-match", `"${request.ifMatch}"`);
  if (request.idempotencyKey) headers.set("idempotency-key", request.idempotencyKey);

  let response: Response;
  try {
    response = await fetch(apiUrl(path, request.query), {
      method,
      headers,
      body,
      credentials: "same-origin",
      signal: request.signal,
    });
  } catch (cause) {
    if (request.signal?.aborted) throw cause;
    throw ApiError.unreachable(cause);
  }
  if (response.ok) return response;
  const error = await ApiError.fromResponse(response);
  if (error.status === 401) sessionEnded();
  throw error;
}

async function json<T>(method: string, path: string, request?: Request): Promise<T> {
  const response = await send(method, path, request);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

export const api = {
  get: <T>(path: string, query?: Query, signal?: AbortSignal) => json<T>("GET", path, { query, signal }),
  post: <T>(path: string, request?: Request) => json<T>("POST", path, request),
  put: <T>(path: string, request?: Request) => json<T>("PUT", path, request),
  patch: <T>(path: string, request?: Request) => json<T>("PATCH", path, request),
  delete: <T>(path: string, request?: Request) => json<T>("DELETE", path, request),
};

export function segment(value: string | number): string {
  return encodeURIComponent(String(value));
}

export type { Json };
