// The frame around every page once somebody is signed in.
import { Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { Menu, Search } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { useMay } from "@/access/may";
import { Kbd } from "@/components/panel";
import { Sheet } from "@/components/ui/sheet";
import { useKinds } from "@/kinds/access";
import { modKey, useHotkeys } from "@/lib/hotkeys";
import { preloadPages } from "@/lib/lazy-page";
import { setPreference, usePreferences } from "@/lib/preferences";
import { LiveApplier } from "@/live/apply";
import { connectLive } from "@/live/connection";
import { queryClient } from "@/query-client";
import { Breadcrumb } from "./breadcrumb";
import { LiveBadge } from "./live-badge";
import { Nav } from "./nav";
import { Tray } from "./tray";
import { UserMenu } from "./user-menu";

const Palette = lazy(() => import("./palette").then((module) => ({ default: module.Palette })));
const Shortcuts = lazy(() => import("./shortcuts").then((module) => ({ default: module.Shortcuts })));

const applier = new LiveApplier(queryClient);
const NEXT_THEME = { system: "light", light: "dark", dark: "system" } as const;

export function Shell() {
  const [drawer, setDrawer] = useState(false);
  const [palette, setPalette] = useState(false);
  const [sheet, setSheet] = useState(false);
  const { pathname } = useLocation();
  const [drawerPath, setDrawerPath] = useState(pathname);
  const navigate = useNavigate();
  const kinds = useKinds();
  const { theme, zone } = usePreferences();

  const may = useMay();
  const mayFollow = may("events.list", "some");
  useEffect(() => {
    if (mayFollow) connectLive(applier.batch);
  }, [mayFollow]);
  useEffect(preloadPages, []);
  if (drawerPath !== pathname) {
    setDrawerPath(pathname);
    setDrawer(false);
  }

  useHotkeys({
    "mod+k": () => setPalette((open) => !open),
    "/": () => setPalette(true),
    "?": () => setSheet(true),
    t: () => setPreference("theme", NEXT_THEME[theme]),
    u: () => setPreference("zone", zone === "utc" ? "local" : "utc"),
    "g h": () => void navigate({ to: "/" }),
    "g p": () => void navigate({ to: "/$plural", params: { plural: kinds.find((kind) => kind.runnable)?.plural ?? "pipelines" } }),
    "g r": () => void navigate({ to: "/runs" }),
    "g j": () => void navigate({ to: "/jobs" }),
    "g e": () => void navigate({ to: "/events" }),
    "g a": () => void navigate({ to: "/audit" }),
  });

  return (
    <div className="grid min-h-dvh grid-cols-[minmax(0,1fr)] md:grid-cols-[208px_minmax(0,1fr)]">
      <a
        href="#main"
        className="absolute top-1 left-1 z-50 -translate-y-16 rounded-md border bg-panel px-3 py-1.5 focus:translate-y-0"
      >
        Skip to content
      </a>
      <div className="sticky top-0 h-dvh overflow-y-auto border-r bg-panel max-md:hidden">
        <Nav />
      </div>
      <Sheet open={drawer} onOpenChange={setDrawer} title="Navigation">
        <Nav />
      </Sheet>
      <div className="min-w-0">
        <header className="sticky top-0 z-20 flex h-[49px] items-center gap-2.5 border-b bg-panel px-3 sm:px-5">
          <button
            type="button"
            aria-label="Open navigation"
            className="-ml-2 grid size-11 shrink-0 place-items-center rounded-md text-ink2 hover:bg-sunken md:hidden"
            onClick={() => setDrawer(true)}
          >
            <Menu className="size-5" aria-hidden />
          </button>
          <Breadcrumb />
          <div className="ml-auto flex shrink-0 items-center gap-2">
            {mayFollow ? <LiveBadge /> : null}
            <button
              type="button"
              onClick={() => setPalette(true)}
              className="hit flex items-center gap-2 rounded-md border bg-sunken px-2.5 text-ink3 hover:border-line2 max-sm:size-11 max-sm:justify-center max-sm:border-transparent max-sm:bg-transparent lg:w-80"
            >
              <Search className="size-3.5 max-sm:size-[18px]" aria-hidden />
              <span className="truncate max-lg:sr-only">Search names, runs, ids</span>
              <span aria-hidden className="ml-auto flex gap-0.5 max-sm:hidden">
                <Kbd>{modKey} K</Kbd>
              </span>
            </button>
            <UserMenu onShortcuts={() => setSheet(true)} />
          </div>
        </header>
        <main id="main" tabIndex={-1} className="mx-auto max-w-[1760px] px-3 py-4 pb-28 outline-none sm:px-5">
          <Outlet />
        </main>
      </div>
      <Tray />
      <Suspense>
        {palette ? <Palette open onOpenChange={setPalette} /> : null}
        {sheet ? <Shortcuts open onOpenChange={setSheet} /> : null}
      </Suspense>
    </div>
  );
}
