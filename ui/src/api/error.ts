// What went wrong with a request, in one type: the server's problem document, or the network itself.
import type { Problem, Violation } from "./types";

// Between here and the server may stand a proxy, or nothing: then there is no whole problem document to pass on.
type Told = Pick<Problem, "status" | "code"> & Partial<Problem>;

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly correlationId: string | null;
  readonly violations: Violation[];

  constructor(problem: Told) {
    super(problem.detail || problem.title || `HTTP ${problem.status}`);
    this.name = "ApiError";
    this.status = problem.status;
    this.code = problem.code;
    this.detail = this.message;
    this.correlationId = problem.correlation_id ?? null;
    this.violations = problem.errors ?? [];
  }

  static async fromResponse(response: Response): Promise<ApiError> {
    const correlation = response.headers.get("x-correlation-id") ?? undefined;
    const fallback: Told = {
      status: response.status,
      code: `http_${response.status}`,
      title: response.statusText || `HTTP ${response.status}`,
      correlation_id: correlation,
    };
    if (!response.headers.get("content-type")?.includes("json")) return new ApiError(fallback);
    try {
      const body = (await response.json()) as Partial<Told>;
      return new ApiError({ ...fallback, ...body, correlation_id: body.correlation_id ?? correlation });
    } catch {
      return new ApiError(fallback);
    }
  }

  static unreachable(cause: unknown): ApiError {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new ApiError({ status: 0, code: "unreachable", detail: `The server did not answer (${why}).` });
  }
}

/** What a reader can do about it, in one sentence. */
export function adviceFor(error: unknown): string {
  if (!(error instanceof ApiError)) return "Reload the page. If it stays, report what is written here.";
  switch (error.code) {
    case "bad_sign_in":
      return "Check both. Whoever forgot a password asks an administrator for a new invitation.";
    case "bad_sign_in_code":
      return "Ask for a new link: each works once and for a short time.";
    case "bad_invitation":
      return "Ask whoever invited you for a new one.";
  }
  switch (error.status) {
    case 0:
      return "Check that qd is running at this address, then try again.";
    case 401:
      return "Sign in again.";
    case 403:
      return "Ask an owner for the permission, or sign in as somebody else.";
    case 404:
      return "It may have been renamed or removed. Go back to the list.";
    case 409:
      return "Something else moved first. Look at the present state, then try again.";
    case 412:
      return "Somebody saved in between. Load their state before you write.";
    case 422:
      return "Correct what is named below, then try again.";
    case 429:
      return "Too much at once. Wait a moment, then try again.";
    case 503:
      return "The server is busy or starting. Try again in a few seconds.";
    default:
      return error.status >= 500
        ? "Try again. If it stays, look for the correlation id in the server's log."
        : "Correct the request, then try again.";
  }
}
