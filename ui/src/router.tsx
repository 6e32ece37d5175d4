// The routes of the console. Each page is a chunk of its own; what a kind's pages show beyond the common frame
// comes from kinds/registry.tsx.
import { createRootRoute, createRoute, createRouter, redirect } from "@tanstack/react-router";
import { ApiError } from "@/api/error";
import { kindsQuery, meQuery } from "@/api/queries";
import { detailSearch, listSearch, runSearch, word } from "@/lib/search";
import { lazyPage } from "@/lib/lazy-page";
import { queryClient } from "@/query-client";
import { NotFound, PageError, PagePending } from "@/shell/fallback";
import { Shell } from "@/shell/shell";

const root = createRootRoute({ notFoundComponent: NotFound, errorComponent: PageError });

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: (raw): { next?: string } => ({ next: word(raw.next) }),
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
      await Promise.all([queryClient.ensureQueryData(meQuery), queryClient.ensureQueryData(kindsQuery)]);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        const next = location.href === "/" ? undefined : location.href;
        throw redirect({ to: "/sign-in", search: { next } });
      }
      throw error;
    }
  },
});

const home = createRoute({
  getParentRoute: () => app,
  path: "/",
  component: lazyPage(() => import("@/pages/home/page")),
});

const runs = createRoute({
  getParentRoute: () => app,
  path: "/runs",
  validateSearch: (raw): { state?: string; kind?: string } => ({
    state: word(raw.state),
    kind: word(raw.kind),
  }),
  component: lazyPage(() => import("@/pages/run-list/page")),
});

const run = createRoute({
  getParentRoute: () => app,
  path: "/runs/$run",
  validateSearch: runSearch,
  component: lazyPage(() => import("@/pages/run/page")),
});

const jobs = createRoute({
  getParentRoute: () => app,
  path: "/jobs",
  validateSearch: (raw): { state?: string } => ({ state: word(raw.state) }),
  component: lazyPage(() => import("@/pages/job-list/page")),
});

const job = createRoute({
  getParentRoute: () => app,
  path: "/jobs/$job",
  component: lazyPage(() => import("@/pages/job/page")),
});

const plans = createRoute({
  getParentRoute: () => app,
  path: "/plans",
  validateSearch: (raw): { state?: string } => ({ state: word(raw.state) }),
  component: lazyPage(() => import("@/pages/plan-list/page")),
});

const plan = createRoute({
  getParentRoute: () => app,
  path: "/plans/$plan",
  component: lazyPage(() => import("@/pages/plan/page")),
});

const events = createRoute({
  getParentRoute: () => app,
  path: "/events",
  component: lazyPage(() => import("@/pages/events/page")),
});

const audit = createRoute({
  getParentRoute: () => app,
  path: "/audit",
  validateSearch: (raw): { object?: string; action?: string } => ({
    object: word(raw.object),
    action: word(raw.action),
  }),
  component: lazyPage(() => import("@/pages/audit/page")),
});

const engines = createRoute({
  getParentRoute: () => app,
  path: "/engines",
  component: lazyPage(() => import("@/pages/engines/page")),
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
  app.addChildren([home, runs, run, jobs, job, plans, plan, events, audit, engines, kindList, kindNew, kindDetail]),
]);

export const router = createRouter({
  routeTree,
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
