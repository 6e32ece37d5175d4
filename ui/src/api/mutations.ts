// Every write, as plain functions: one call of the API each. Those that create a job take their idempotency key
// from the caller, which keeps it over retries of the same intent.
import { api, segment } from "./client";
import type {
  JobStarted,
  Json,
  JsonObject,
  PlanApplied,
  PlannedChange,
  Preview,
  PublishBody,
  Resource,
  ResourceDetails,
  Revision,
  RollbackBody,
  SignedIn,
  StartBody,
  StoredPlan,
  Validation,
  WorkingCopy,
} from "./types";

const at = (plural: string, name: string) => `/${segment(plural)}/${segment(name)}`;

export const exchangeCode = (code: string) =>
  api.post<SignedIn>("/auth/exchange", { body: { code } });

export const signIn = (who: { name: string; password: string }) => api.post<SignedIn>("/auth/sign-in", { body: who });

export const acceptInvitation = (accepted: { code: string; password: string }) =>
  api.post<SignedIn>("/auth/accept", { body: accepted });

export const signOut = () => api.post<void>("/auth/sign-out");

export const resourceCreate = (plural: string, yaml: string) =>
  api.post<Resource>(`/${segment(plural)}`, { text: { content: yaml, type: "application/yaml" } });

export const resourceUpdate = (plural: string, name: string, details: ResourceDetails, version: number) =>
  api.patch<Resource>(at(plural, name), { body: details, ifMatch: version });

export const resourceArchive = (plural: string, name: string, version: number) =>
  api.delete<Resource>(at(plural, name), { ifMatch: version });

export const resourceRestore = (plural: string, name: string) => api.post<Resource>(`${at(plural, name)}/restore`);

export const workingCopySave = (plural: string, name: string, spec: JsonObject, version: number) =>
  api.put<WorkingCopy>(`${at(plural, name)}/working-copy`, { body: { spec }, ifMatch: version });

export const specValidate = (plural: string, name: string, spec?: JsonObject) =>
  api.post<Validation>(`${at(plural, name)}/validate`, { body: spec ? { spec } : {} });

export const revisionCut = (plural: string, name: string, message: string) =>
  api.post<Revision>(`${at(plural, name)}/revisions`, { body: message ? { message } : {} });

export const revisionPublish = (
  plural: string,
  name: string,
  body: PublishBody,
  idempotencyKey: string,
) => api.post<JobStarted>(`${at(plural, name)}/publish`, { body, idempotencyKey });

export const revisionRollback = (
  plural: string,
  name: string,
  body: RollbackBody,
  idempotencyKey: string,
) => api.post<JobStarted>(`${at(plural, name)}/rollback`, { body, idempotencyKey });

export const runStart = (
  plural: string,
  name: string,
  body: StartBody,
  idempotencyKey: string,
) => api.post<JobStarted>(`${at(plural, name)}/runs`, { body, idempotencyKey });

export const runStop = (id: string, reason: string, idempotencyKey: string) =>
  api.post<JobStarted>(`/runs/${segment(id)}/stop`, { body: reason ? { reason } : {}, idempotencyKey });

export const runRetry = (id: string, reason: string, idempotencyKey: string) =>
  api.post<JobStarted>(`/runs/${segment(id)}/retry`, { body: reason ? { reason } : {}, idempotencyKey });

export const runRequest = (id: string, item: Json, timeoutMs: number) =>
  api.post<{ result: Json }>(`/runs/${segment(id)}/requests`, { body: { item, timeout_ms: timeoutMs } });

/** What a change would do: the dry run of its route. Nothing is written. */
export function changePreview(change: PlannedChange, signal?: AbortSignal): Promise<Preview> {
  const query = { dry_run: true };
  switch (change.operation) {
    case "publish":
      return api.post<Preview>(`${at(change.kind, change.name)}/publish`, { body: { revision: change.revision }, query, signal });
    case "rollback":
      // The reason is no part of the plan, and the route wants one.
      return api.post<Preview>(`${at(change.kind, change.name)}/rollback`, { body: { to: change.to, reason: change.reason || "preview" }, query, signal });
    case "run":
      return api.post<Preview>(`${at(change.kind, change.name)}/runs`, { body: { params: change.params }, query, signal });
    case "stop":
    case "retry":
      return api.post<Preview>(`/runs/${segment(change.run)}/${change.operation}`, { body: {}, query, signal });
    case "apply":
      return api
        .post<{ plan: Preview }>("/apply", { body: { documents: change.documents }, query: { ...query, publish: change.publish }, signal })
        .then((applied) => applied.plan);
  }
}

export const planCreate = (change: PlannedChange) => api.post<StoredPlan>("/plans", { body: change });

export const planApprove = (id: string, hash: string, reason: string) =>
  api.post<StoredPlan>(`/plans/${segment(id)}/approve`, { body: { hash, reason } });

export const planReject = (id: string, reason: string) => api.post<StoredPlan>(`/plans/${segment(id)}/reject`, { body: { reason } });

export const planApply = (id: string, idempotencyKey: string) =>
  api.post<PlanApplied>(`/plans/${segment(id)}/apply`, { idempotencyKey });

export const jobCancel = (id: string, idempotencyKey: string) =>
  api.post<JobStarted>(`/jobs/${segment(id)}/cancel`, { body: {}, idempotencyKey });
