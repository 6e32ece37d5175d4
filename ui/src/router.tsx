// The routes of the console. Each page is a chunk of its own; what a kind's pages show beyond the common frame
// comes from kinds/registry.tsx.
import type { FunctionComponent } from "react";
import { createRootRoute, createRoute, createRouter, redirect } from "@tanstack/react-router";
import { mayOf, type Right } from "@/access/may";
import { Needs } from "@/access/needs";
import { roomAt } from "@/access/rooms";
import { ApiError } from "@/api/error";
import { kindsQuery, meQuery } from "@/api/queries";
import { scopePrefix } from "@/api/scope";
import { auditSearch, detailSearch, listSearch, runSearch, word } from "@/lib/search";
import { lazyPage } from "@/lib/lazy-page";
import { queryClient } from "@/query-client";
import { NotFound, PageError, PagePending } from "@/shell/fallback";
import { Shell } from "@/shell/shell";

const root = createRootRoute({ notFoundComponent: NotFound, errorComponent: PageError });

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (raw): { next?: string; error?: string } => ({ next: word(raw.next), error: word(raw.error) }),
  component: lazyPage(() => import("@/pages/sign-in/page")),
});

const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  component: Shell,
  errorComponent: PageError,
  pendingComponent: PagePending,
  beforeLoad: async ({ location }) => {
    try {
      const me = await queryClient.ensureQueryData(meQuery);
      // Who may not list kinds holds no role here, and sees none.
      if (mayOf(me)("kinds.list")) await queryClient.ensureQueryData(kindsQuery);
      else queryClient.setQueryData(kindsQuery.queryKey, []);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        const next = location.href === "/" ? undefined : location.publicHref;
        throw redirect({ to: "/sign-in", search: { next } });
      }
      throw error;
    }
  },
});

/** A page behind the right that it wants; who lacks it is told so in its place. */
function guarded({ right }: { right?: Right }, Page: FunctionComponent): FunctionComponent {
  if (!right) return Page;
  return function GuardedPage() {
    return (
      <Needs right={right}>
        <Page />
      </Needs>
    );
  };
}

const home = createRoute({
  getParentRoute: () => app,
  path: "/",
  component: lazyPage(() => import("@/pages/home/page")),
});

const profile = createRoute({
  getParentRoute: () => app,
  path: "/profile",
  component: lazyPage(() => import("@/pages/profile/page")),
});

const runs = createRoute({
  getParentRoute: () => app,
  path: "/runs",
  validateSearch: (raw): { state?: string; kind?: string } => ({
    state: word(raw.state),
    kind: word(raw.kind),
  }),
  component: guarded(roomAt("/runs"), lazyPage(() => import("@/pages/run-list/page"))),
});

const run = createRoute({
  getParentRoute: () => app,
  path: "/runs/$run",
  validateSearch: runSearch,
  component: guarded({ right: { action: "runs.read", at: "some" } }, lazyPage(() => import("@/pages/run/page"))),
});

const jobs = createRoute({
  getParentRoute: () => app,
  path: "/jobs",
  validateSearch: (raw): { state?: string } => ({ state: word(raw.state) }),
  component: guarded(roomAt("/jobs"), lazyPage(() => import("@/pages/job-list/page"))),
});

const job = createRoute({
  getParentRoute: () => app,
  path: "/jobs/$job",
  component: guarded({ right: { action: "jobs.read", at: "some" } }, lazyPage(() => import("@/pages/job/page"))),
});

const plans = createRoute({
  getParentRoute: () => app,
  path: "/plans",
  validateSearch: (raw): { state?: string } => ({ state: word(raw.state) }),
  component: guarded(roomAt("/plans"), lazyPage(() => import("@/pages/plan-list/page"))),
});

const plan = createRoute({
  getParentRoute: () => app,
  path: "/plans/$plan",
  component: guarded({ right: { action: "plans.read", at: "some" } }, lazyPage(() => import("@/pages/plan/page"))),
});

const reviews = createRoute({
  getParentRoute: () => app,
  path: "/reviews",
  component: guarded(roomAt("/reviews"), lazyPage(() => import("@/pages/review-list/page"))),
});

const review = createRoute({
  getParentRoute: () => app,
  path: "/$plural/$name/review/$number",
  component: lazyPage(() => import("@/pages/review/page")),
});

const events = createRoute({
  getParentRoute: () => app,
  path: "/events",
  component: guarded(roomAt("/events"), lazyPage(() => import("@/pages/events/page"))),
});

const audit = createRoute({
  getParentRoute: () => app,
  path: "/audit",
  validateSearch: auditSearch,
  component: guarded(roomAt("/audit"), lazyPage(() => import("@/pages/audit/page"))),
});

const engines = createRoute({
  getParentRoute: () => app,
  path: "/engines",
  component: guarded(roomAt("/engines"), lazyPage(() => import("@/pages/engines/page"))),
});

const secrets = createRoute({
  getParentRoute: () => app,
  path: "/secrets",
  component: guarded(roomAt("/secrets"), lazyPage(() => import("@/pages/secret-list/page"))),
});

const members = createRoute({
  getParentRoute: () => app,
  path: "/members",
  component: guarded(roomAt("/members"), lazyPage(() => import("@/pages/member-list/page"))),
});

const teams = createRoute({
  getParentRoute: () => app,
  path: "/teams",
  component: guarded(roomAt("/teams"), lazyPage(() => import("@/pages/team-list/page"))),
});

const team = createRoute({
  getParentRoute: () => app,
  path: "/teams/$name",
  component: guarded({ right: { action: "teams.read", at: "tenant" } }, lazyPage(() => import("@/pages/team/page"))),
});

const roles = createRoute({
  getParentRoute: () => app,
  path: "/roles",
  component: guarded(roomAt("/roles"), lazyPage(() => import("@/pages/role-list/page"))),
});

const projects = createRoute({
  getParentRoute: () => app,
  path: "/projects",
  component: guarded(roomAt("/projects"), lazyPage(() => import("@/pages/project-list/page"))),
});

const users = createRoute({
  getParentRoute: () => app,
  path: "/users",
  component: guarded(roomAt("/users"), lazyPage(() => import("@/pages/user-list/page"))),
});

const user = createRoute({
  getParentRoute: () => app,
  path: "/users/$name",
  component: guarded({ right: { action: "users.read", at: "platform" } }, lazyPage(() => import("@/pages/user/page"))),
});

const tenants = createRoute({
  getParentRoute: () => app,
  path: "/tenants",
  component: guarded(roomAt("/tenants"), lazyPage(() => import("@/pages/tenant-list/page"))),
});

const kindList = createRoute({
  getParentRoute: () => app,
  path: "/$plural",
  validateSearch: listSearch,
  component: lazyPage(() => import("@/pages/kind-list/page")),
});

const kindNew = createRoute({
  getParentRoute: () => app,
  path: "/$plural/new",
  component: lazyPage(() => import("@/pages/kind-new/page")),
});

const kindDetail = createRoute({
  getParentRoute: () => app,
  path: "/$plural/$name",
  validateSearch: detailSearch,
  component: lazyPage(() => import("@/pages/kind-detail/page")),
});

const routeTree = root.addChildren([
  signIn,
  app.addChildren([
    home,
    profile,
    runs,
    run,
    jobs,
    job,
    plans,
    plan,
    reviews,
    events,
    audit,
    engines,
    secrets,
    members,
    teams,
    team,
    roles,
    projects,
    users,
    user,
    tenants,
    kindList,
    kindNew,
    kindDetail,
    review,
  ]),
]);

export const router = createRouter({
  routeTree,
  basepath: scopePrefix || "/",
  defaultPreload: "intent",
  defaultPreloadStaleTime: 0,
  defaultPendingComponent: PagePending,
  defaultErrorComponent: PageError,
  defaultNotFoundComponent: NotFound,
  defaultPendingMs: 200,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
