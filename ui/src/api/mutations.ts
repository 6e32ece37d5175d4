// Every write, as plain functions: one call of the API each. Those that create a job take their idempotency key
// from the caller, which keeps it over retries of the same intent.
import { api, segment } from "./client";
import type {
  Applied,
  ConnectionReading,
  Invitation,
  JobStarted,
  Json,
  JsonObject,
  Limits,
  MadeToken,
  NamedBody,
  NewUserBody,
  PlanApplied,
  PlannedChange,
  Preview,
  ProjectInfo,
  ProjectPatch,
  PublishBody,
  Quotas,
  Resource,
  ResourceDetails,
  ReviewComment,
  Revision,
  RollbackBody,
  RotatedKey,
  SecretInfo,
  Share,
  SignedIn,
  StartBody,
  StoredPlan,
  Team,
  TenantInfo,
  TenantPatch,
  TokenBody,
  User,
  UserCreated,
  UserPatch,
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

export const passwordChange = (body: { present: string; chosen: string }) => api.put<void>("/auth/password", { body });

export const ownTokenCreate = (body: TokenBody) => api.post<MadeToken>("/auth/tokens", { body });

export const credentialEnd = (id: string) => api.delete<void>(`/auth/credentials/${segment(id)}`);

export const userCreate = (body: NewUserBody) => api.post<UserCreated>("/users", { body });

export const userUpdate = (name: string, patch: UserPatch, version: number) =>
  api.patch<User>(`/users/${segment(name)}`, { body: patch, ifMatch: version });

export const userInvite = (name: string) => api.post<Invitation>(`/users/${segment(name)}/invite`);

export const userTokenCreate = (name: string, body: TokenBody) => api.post<MadeToken>(`/users/${segment(name)}/tokens`, { body });

/** Where a role is held: everywhere, in the tenant one works in, or in a project of it. */
export interface RoleAt {
  name: string;
  role: string;
  at: "platform" | "tenant" | "project";
  project?: string | null;
}

const bindingOf = ({ name, role, at, project }: RoleAt) =>
  [`/${at === "platform" ? "administrators" : "members"}/${segment(name)}/${segment(role)}`, { query: { project: at === "project" ? project : undefined } }] as const;

export const roleGrant = (binding: RoleAt) => api.put<void>(...bindingOf(binding));

export const roleRevoke = (binding: RoleAt) => api.delete<void>(...bindingOf(binding));

export const teamCreate = (body: NamedBody) => api.post<Team>("/teams", { body });

export const teamDelete = (name: string) => api.delete<void>(`/teams/${segment(name)}`);

export const teamMemberAdd = (team: string, person: string) => api.put<void>(`/teams/${segment(team)}/members/${segment(person)}`);

export const teamMemberRemove = (team: string, person: string) => api.delete<void>(`/teams/${segment(team)}/members/${segment(person)}`);

export const tenantCreate = (body: NamedBody) => api.post<TenantInfo>("/tenants", { body });

export const tenantUpdate = (name: string, patch: TenantPatch, version: number) =>
  api.patch<TenantInfo>(`/tenants/${segment(name)}`, { body: patch, ifMatch: version });

export const projectCreate = (body: NamedBody) => api.post<ProjectInfo>("/projects", { body });

export const projectUpdate = (name: string, patch: ProjectPatch, version: number) =>
  api.patch<ProjectInfo>(`/projects/${segment(name)}`, { body: patch, ifMatch: version });

export const quotasSet = (of: "tenants" | "projects", name: string, limits: Limits, version: number) =>
  api.put<Quotas>(`/${of}/${segment(name)}/quotas`, { body: limits, ifMatch: version });

/** The name is said once more; what starts is a job. */
export const scopeDelete = (of: "tenants" | "projects", name: string, reason: string, idempotencyKey: string) =>
  api.post<JobStarted>(`/${of}/${segment(name)}/delete`, { body: { confirm: name, reason }, idempotencyKey });

/** What a deletion would take away: its plan by a dry run. */
export const scopeDeletePreview = (of: "tenants" | "projects", name: string, signal?: AbortSignal) =>
  api.post<Preview>(`/${of}/${segment(name)}/delete`, { body: {}, query: { dry_run: true }, signal });

/** Starts the job that writes an archive. */
export const tenantExport = (name: string, reason: string, idempotencyKey: string) =>
  api.post<JobStarted>(`/tenants/${segment(name)}/export`, { body: { reason }, idempotencyKey });

const secretAt = (path: string) => `/secrets/${path.split("/").map(segment).join("/")}`;

export const secretWrite = (path: string, value: string) => api.put<SecretInfo>(secretAt(path), { body: { value } });

export const secretDelete = (path: string, reason: string) => api.delete<void>(secretAt(path), { query: { reason } });

export const secretKeysRotate = (key: RotatedKey, reason: string, idempotencyKey: string) =>
  api.post<JobStarted>("/secret-keys/rotate", { body: { key, reason }, idempotencyKey });

export const connectionTest = (name: string, revision?: number) =>
  api.post<ConnectionReading>(`/connections/${segment(name)}/test`, { body: revision === undefined ? {} : { revision } });

/** Makes or changes what the documents say, and publishes it, as one job. */
export const documentsApply = (documents: JsonObject[], idempotencyKey: string) =>
  api.post<Applied>("/apply", { body: { documents }, query: { publish: true }, idempotencyKey }).then(({ job }) => {
    if (!job) throw new Error("There was nothing to do: it is already so.");
    return { job, run: null } satisfies JobStarted;
  });

export const resourceCreate = (plural: string, yaml: string) =>
  api.post<Resource>(`/${segment(plural)}`, { text: { content: yaml, type: "application/yaml" } });

export const resourceUpdate = (plural: string, name: string, details: ResourceDetails, version: number) =>
  api.patch<Resource>(at(plural, name), { body: details, ifMatch: version });

export const resourceArchive = (plural: string, name: string, version: number) =>
  api.delete<Resource>(at(plural, name), { ifMatch: version });

export const resourceRestore = (plural: string, name: string) => api.post<Resource>(`${at(plural, name)}/restore`);

const sharedWith = (plural: string, name: string, holder: string) => `${at(plural, name)}/sharing/${segment(holder)}`;

/** The holder is a name, or `team:` and a team's name. */
export const resourceShare = (plural: string, name: string, holder: string, as: Share) =>
  api.put<void>(sharedWith(plural, name, holder), { body: { as } });

export const resourceUnshare = (plural: string, name: string, holder: string) => api.delete<void>(sharedWith(plural, name, holder));

export const workingCopySave = (plural: string, name: string, spec: JsonObject, version: number) =>
  api.put<WorkingCopy>(`${at(plural, name)}/working-copy`, { body: { spec }, ifMatch: version });

export const specValidate = (plural: string, name: string, spec?: JsonObject) =>
  api.post<Validation>(`${at(plural, name)}/validate`, { body: spec ? { spec } : {} });

export const revisionCut = (plural: string, name: string, message: string) =>
  api.post<Revision>(`${at(plural, name)}/revisions`, { body: message ? { message } : {} });

const revisionAt = (plural: string, name: string, number: number) => `${at(plural, name)}/revisions/${number}`;

export const revisionSubmit = (plural: string, name: string, number: number, message: string) =>
  api.post<Revision>(`${revisionAt(plural, name, number)}/submit`, { body: { message } });

export const revisionWithdraw = (plural: string, name: string, number: number, reason: string) =>
  api.post<Revision>(`${revisionAt(plural, name, number)}/withdraw`, { body: { reason } });

/** The approval is given to the plan's hash that was seen. */
export const revisionApprove = (plural: string, name: string, number: number, hash: string, reason: string) =>
  api.post<Revision>(`${revisionAt(plural, name, number)}/approve`, { body: { hash, reason } });

export const revisionReject = (plural: string, name: string, number: number, reason: string) =>
  api.post<Revision>(`${revisionAt(plural, name, number)}/reject`, { body: { reason } });

export const commentAdd = (plural: string, name: string, number: number, body: string, pointer: string | null) =>
  api.post<ReviewComment>(`${revisionAt(plural, name, number)}/comments`, { body: { body, pointer } });

/** All of one's own where no ids are given. */
export const notificationsRead = (ids: string[]) => api.post<{ read: number }>("/notifications/read", { body: { ids } });

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
