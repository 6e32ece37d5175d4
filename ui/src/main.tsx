import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { onSessionEnded } from "@/api/client";
import { TooltipProvider } from "@/components/ui/tooltip";
import { watchPreferences } from "@/lib/preferences";
import { queryClient } from "@/query-client";
import { router } from "@/router";
import "@/styles.css";

watchPreferences();

onSessionEnded(() => {
  const { pathname, href, publicHref } = router.state.location;
  if (pathname === "/sign-in") return;
  // Left first, cleared then: pages that still stand would ask for everything again.
  void router
    .navigate({ to: "/sign-in", search: { next: href === "/" ? undefined : publicHref }, replace: true })
    .then(() => queryClient.clear());
});

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <TooltipProvider delayDuration={250}>
        <RouterProvider router={router} />
      </TooltipProvider>
    </QueryClientProvider>
  </StrictMode>,
);
