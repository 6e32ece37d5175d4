// Every read of server state, as query options: a key and a function. Pages use nothing else, and the live
// stream finds what to refresh by these keys (see live/apply.ts).
import { infiniteQueryOptions, keepPreviousData, queryOptions, skipToken } from "@tanstack/react-query";
import { api, segment } from "./client";
import { changePreview, scopeDeletePreview } from "./mutations";
import type {
  AbleList,
  AuditChain,
  AuditRecord,
  CanI,
  Credential,
  Engine,
  EventPage,
  Explanation,
  HeldRole,
  Holder,
  InboxCounts,
  InboxItem,
  Job,
  JobDetail,
  KeyReading,
  KindInfo,
  Me,
  Member,
  Notification,
  Page,
  PlannedChange,
  PlanSummary,
  ProjectInfo,
  Quotas,
  Resource,
  ResourceDetail,
  ResultList,
  ReviewComment,
  ReviewDetail,
  Revision,
  RevisionDiff,
  RevisionSummary,
  RoleMatrix,
  Run,
  RunMetrics,
  SecretInfo,
  StoredPlan,
  Team,
  TeamDetail,
  TenantExport,
  TenantInfo,
  User,
  Verification,
  WhatIf,
  WorkingCopy,
} from "./types";

const PAGE = 50;

function pages<T>(key: readonly unknown[], path: string, query: Record<string, string | undefined> = {}, limit = PAGE) {
  return infiniteQueryOptions({
    queryKey: [...key, query, limit],
    queryFn: ({ pageParam, signal }) => api.get<Page<T>>(path, { ...query, limit, cursor: pageParam }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    select: (data) => data.pages.flatMap((page) => page.items),
    placeholderData: keepPreviousData,
  });
}

export const meQuery = queryOptions({
  queryKey: ["me"],
  queryFn: ({ signal }) => api.get<Me>("/me", {}, signal),
  staleTime: Infinity,
});

export const kindsQuery = queryOptions({
  queryKey: ["kinds"],
  queryFn: async ({ signal }) => (await api.get<{ items: KindInfo[] }>("/kinds", {}, signal)).items,
  staleTime: Infinity,
});

/** One's own tokens and sessions. */
export const credentialsQuery = queryOptions({
  queryKey: ["credentials"],
  queryFn: async ({ signal }) => (await api.get<{ items: Credential[] }>("/auth/credentials", {}, signal)).items,
});

/** One's own roles, with the place of each. */
export const heldRolesQuery = queryOptions({
  queryKey: ["held-roles"],
  queryFn: async ({ signal }) => (await api.get<{ items: HeldRole[] }>("/auth/roles", {}, signal)).items,
});

export const rolesQuery = queryOptions({
  queryKey: ["roles"],
  queryFn: ({ signal }) => api.get<RoleMatrix>("/roles", {}, signal),
  staleTime: Infinity,
});

/** Whether one may, or somebody else; of the project as a whole where no object is named. */
export const canIQuery = (action: string, object?: string, as?: string) =>
  queryOptions({
    queryKey: ["access", "can-i", action, object, as],
    queryFn: ({ signal }) => api.get<CanI>("/auth/can-i", { action, object, as }, signal),
    staleTime: 0,
    retry: false,
  });

export const whoCanQuery = (action: string, object?: string) =>
  queryOptions({
    queryKey: ["access", "who-can", action, object],
    queryFn: ({ signal }) => api.get<AbleList>("/auth/who-can", { action, object }, signal),
    staleTime: 0,
    retry: false,
  });

/** What would change for whom if a policy of this name had this text. */
export const whatIfQuery = (policy: { name: string; cedar: string }) =>
  queryOptions({
    queryKey: ["access", "what-if", policy],
    queryFn: ({ signal }) => api.post<WhatIf>("/auth/what-if", { body: { policies: [policy] }, signal }),
    staleTime: 0,
    retry: false,
  });

export const usersQuery = (limit = PAGE) => pages<User>(["users"], "/users", {}, limit);

export const userQuery = (name: string) =>
  queryOptions({
    queryKey: ["user", name],
    queryFn: ({ signal }) => api.get<User>(`/users/${segment(name)}`, {}, signal),
  });

/** Who holds which role: in the tenant and its projects, or everywhere. */
export const membersQuery = (of: "tenant" | "platform", limit = PAGE) =>
  pages<Member>(["members", of], of === "tenant" ? "/members" : "/administrators", {}, limit);

export const teamsQuery = (limit = PAGE) => pages<Team>(["teams"], "/teams", {}, limit);

export const teamQuery = (name: string) =>
  queryOptions({
    queryKey: ["team", name],
    queryFn: ({ signal }) => api.get<TeamDetail>(`/teams/${segment(name)}`, {}, signal),
  });

export const tenantsQuery = (limit = PAGE) => pages<TenantInfo>(["tenants"], "/tenants", {}, limit);

export const projectsQuery = (limit = PAGE) => pages<ProjectInfo>(["projects"], "/projects", {}, limit);

export const secretsQuery = () => pages<SecretInfo>(["secrets"], "/secrets");

export const secretKeysQuery = queryOptions({
  queryKey: ["secret-keys"],
  queryFn: ({ signal }) => api.get<KeyReading>("/secret-keys", {}, signal),
});

export interface ResourceFilters {
  q?: string;
  label?: string;
  state?: string;
}

export const resourcesQuery = (plural: string, filters: ResourceFilters = {}, limit = PAGE) =>
  pages<Resource>(["resources", plural], `/${segment(plural)}`, { ...filters }, limit);

/** Whether there is one that one may read. */
export const anyResourceQuery = (plural: string) =>
  queryOptions({
    queryKey: ["resources", plural, "any"],
    queryFn: async ({ signal }) => (await api.get<Page<Resource>>(`/${segment(plural)}`, { limit: 1 }, signal)).items.length > 0,
  });

export const resourceQuery = (plural: string, name: string) =>
  queryOptions({
    queryKey: ["resource", plural, name],
    queryFn: ({ signal }) => api.get<ResourceDetail>(`/${segment(plural)}/${segment(name)}`, {}, signal),
  });

/** Whom it belongs to and with whom it is shared. */
export const sharingQuery = (plural: string, name: string) =>
  queryOptions({
    queryKey: ["sharing", plural, name],
    queryFn: async ({ signal }) => (await api.get<{ items: Holder[] }>(`/${segment(plural)}/${segment(name)}/sharing`, {}, signal)).items,
  });

export const workingCopyQuery = (plural: string, name: string) =>
  queryOptions({
    queryKey: ["working-copy", plural, name],
    queryFn: ({ signal }) => api.get<WorkingCopy>(`/${segment(plural)}/${segment(name)}/working-copy`, {}, signal),
  });

export const revisionsQuery = (plural: string, name: string) =>
  pages<RevisionSummary>(["revisions", plural, name], `/${segment(plural)}/${segment(name)}/revisions`);

export const revisionQuery = (plural: string, name: string, number: number) =>
  queryOptions({
    queryKey: ["revision", plural, name, number],
    queryFn: ({ signal }) =>
      api.get<Revision>(`/${segment(plural)}/${segment(name)}/revisions/${number}`, {}, signal),
    // A revision's spec never changes; its state does, and that is read from the list.
    staleTime: Infinity,
  });

export const diffQuery = (plural: string, name: string, from: number, to: number) =>
  queryOptions({
    queryKey: ["revision-diff", plural, name, from, to],
    queryFn: ({ signal }) =>
      api.get<RevisionDiff>(`/${segment(plural)}/${segment(name)}/revisions/${to}/diff`, { from }, signal),
    staleTime: Infinity,
  });

export const quotasQuery = (of: "tenants" | "projects", name: string) =>
  queryOptions({
    queryKey: ["quotas", of, name],
    queryFn: ({ signal }) => api.get<Quotas>(`/${of}/${segment(name)}/quotas`, {}, signal),
  });

/** What deleting it would take away. */
export const deletionQuery = (of: "tenants" | "projects", name: string) =>
  queryOptions({
    queryKey: ["deletion", of, name],
    queryFn: ({ signal }) => scopeDeletePreview(of, name, signal),
    staleTime: 0,
    gcTime: 0,
    retry: false,
  });

/** The newest exports of a tenant, which need not be the one that the page works in: no stream tells of those jobs, so it is asked
 *  again while one is under way. */
export const exportsQuery = (tenant: string) =>
  queryOptions({
    queryKey: ["exports", tenant],
    queryFn: ({ signal }) => api.get<Page<TenantExport>>(`/tenants/${segment(tenant)}/exports`, { limit: 10 }, signal),
    refetchInterval: ({ state }) => (state.data?.items.some((each) => each.state === "preparing") ? 2000 : false),
    staleTime: 0,
  });

/** What a reviewer sees. Its plan is made for each answer, so an old one is asked for again. */
export const reviewQuery = (plural: string, name: string, number: number) =>
  queryOptions({
    queryKey: ["review", plural, name, number],
    queryFn: ({ signal }) => api.get<ReviewDetail>(`/${segment(plural)}/${segment(name)}/revisions/${number}/review`, {}, signal),
    staleTime: 0,
  });

export const commentsQuery = (plural: string, name: string, number: number) =>
  pages<ReviewComment>(["comments", plural, name, number], `/${segment(plural)}/${segment(name)}/revisions/${number}/comments`);

/** What waits for one's decision in the tenant, and one's own that was decided. */
export const inboxQuery = (limit = PAGE) => pages<InboxItem>(["inbox", "items"], "/inbox", {}, limit);

export const inboxCountsQuery = queryOptions({
  queryKey: ["inbox", "counts"],
  queryFn: ({ signal }) => api.get<InboxCounts>("/inbox/counts", {}, signal),
});

export const notificationsQuery = () => pages<Notification>(["notifications"], "/notifications");

export interface RunFilters {
  state?: string;
  kind?: string;
}

export const runsQuery = (filters: RunFilters = {}, limit = PAGE) =>
  pages<Run>(["runs"], "/runs", { ...filters }, limit);

export const resourceRunsQuery = (plural: string, name: string, limit = PAGE) =>
  pages<Run>(["runs", "of", plural, name], `/${segment(plural)}/${segment(name)}/runs`, {}, limit);

export const runQuery = (id: string) =>
  queryOptions({
    queryKey: ["run", id],
    queryFn: ({ signal }) => api.get<Run>(`/runs/${segment(id)}`, {}, signal),
  });

export const runMetricsQuery = (id: string) =>
  queryOptions({
    queryKey: ["run-metrics", id],
    queryFn: ({ signal }) => api.get<RunMetrics>(`/runs/${segment(id)}/metrics`, {}, signal),
    staleTime: Infinity,
  });

export const runResultsQuery = (id: string) =>
  queryOptions({
    queryKey: ["run-results", id],
    queryFn: ({ signal }) => api.get<ResultList>(`/runs/${segment(id)}/results`, {}, signal),
  });

/**
 * Events newest first: pages go back by position. `before=0` is from the end.
 * A server that knows no `before` answers its oldest page; that is then all there is to see.
 */
function eventPages(key: readonly unknown[], path: string, limit: number) {
  return infiniteQueryOptions({
    queryKey: [...key, limit],
    queryFn: ({ pageParam, signal }) => api.get<EventPage>(path, { before: pageParam, limit }, signal),
    initialPageParam: 0,
    getNextPageParam: (last, _pages, asked) => {
      const oldest = last.items.reduce((least, event) => Math.min(least, event.pos), Infinity);
      const more = last.items.length === limit && oldest > 1 && (asked === 0 || oldest < asked);
      return more ? oldest : null;
    },
    select: (data) => {
      const byPos = new Map(data.pages.flatMap((page) => page.items).map((event) => [event.pos, event]));
      return [...byPos.values()].sort((a, b) => b.pos - a.pos);
    },
    placeholderData: keepPreviousData,
  });
}

export const runEventsQuery = (id: string) => eventPages(["events", "of-run", id], `/runs/${segment(id)}/events`, 200);

export const plansQuery = (filters: { state?: string } = {}, limit = PAGE) =>
  pages<PlanSummary>(["plans"], "/plans", { ...filters }, limit);

export const planQuery = (id: string) =>
  queryOptions({
    queryKey: ["plan", id],
    queryFn: ({ signal }) => api.get<StoredPlan>(`/plans/${segment(id)}`, {}, signal),
  });

/** Why `jobs/<id>`, `runs/<id>`, `plans/<id>` or `<plural>/<name>` is in its state. */
export const explainQuery = (family: string, id: string) =>
  queryOptions({
    queryKey: ["explain", family, id],
    queryFn: ({ signal }) => api.get<Explanation>(`/explain/${segment(family)}/${segment(id)}`, {}, signal),
    // One sentence of a page: what went wrong with it the rest of the page says.
    retry: false,
  });

/** What a change would do. It is read anew each time that a dialog opens. */
export const previewQuery = (change: PlannedChange | null) =>
  queryOptions({
    // The words that are kept beside a change are no part of its plan.
    queryKey: ["preview", change && { ...change, reason: undefined, message: undefined }],
    queryFn: change ? ({ signal }) => changePreview(change, signal) : skipToken,
    staleTime: 0,
    gcTime: 0,
    retry: false,
  });

export const jobsQuery = (filters: { state?: string } = {}, limit = PAGE) =>
  pages<Job>(["jobs"], "/jobs", { ...filters }, limit);

export const jobQuery = (id: string) =>
  queryOptions({
    queryKey: ["job", id],
    queryFn: ({ signal }) => api.get<JobDetail>(`/jobs/${segment(id)}`, {}, signal),
  });

export const eventsQuery = () => eventPages(["events", "all"], "/events", PAGE);

export const resourceEventsQuery = (plural: string, name: string) =>
  eventPages(["events", "of", plural, name], `/${segment(plural)}/${segment(name)}/events`, PAGE);

export type AuditReach = "project" | "tenant" | "platform";

export interface AuditFilters {
  reach?: AuditReach;
  object?: string;
  action?: string;
  actor?: string;
  principal?: string;
  outcome?: string;
  job?: string;
  plan?: string;
  plan_hash?: string;
  request?: string;
  correlation?: string;
  trace?: string;
  since?: string;
  until?: string;
}

export const auditQuery = (filters: AuditFilters = {}, limit = PAGE) =>
  pages<AuditRecord>(["audit"], "/audit", { ...filters }, limit);

/** The newest records of a chain, verified by the server: its own word. */
export const auditVerifyQuery = (reach: "tenant" | "platform") =>
  queryOptions({
    queryKey: ["audit-verify", reach],
    queryFn: ({ signal }) => api.get<Verification>("/audit/verify", { reach }, signal),
    staleTime: 5 * 60_000,
    retry: false,
  });

export const auditChainQuery = (reach: "tenant" | "platform") =>
  queryOptions({
    queryKey: ["audit-chain", reach],
    queryFn: ({ signal }) => api.get<AuditChain>("/audit/chain", { reach }, signal),
    retry: false,
  });

export const resourceAuditQuery = (plural: string, name: string) =>
  pages<AuditRecord>(["audit", "of", plural, name], `/${segment(plural)}/${segment(name)}/audit`);

export const enginesQuery = queryOptions({
  queryKey: ["engines"],
  queryFn: async ({ signal }) => (await api.get<{ items: Engine[] }>("/engines", {}, signal)).items,
});
