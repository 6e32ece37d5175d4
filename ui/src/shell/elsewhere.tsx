// In place of the console where the address names no scope that one may work in: what is wrong, and where one can go.
import { useMutation } from "@tanstack/react-query";
import { LogOut } from "lucide-react";
import { ApiError } from "@/api/error";
import { signOut } from "@/api/mutations";
import { goToScope, scopePrefix } from "@/api/scope";
import { Panel } from "@/components/panel";
import { Button } from "@/components/ui/button";
import { Brand } from "./brand";
import { PlaceList } from "./scope-switch";

const TITLES: Record<string, string> = {
  scope_needed: "Where do you want to work?",
  scope_not_found: "There is nothing here for you",
  no_role: "You hold no role yet",
  tenant_suspended: "This tenant is suspended",
  scopes_disagree: "This address names two tenants",
};

/** Whether it is the scope that is refused, and not the request. */
export function isAboutScope(error: unknown): error is ApiError {
  return error instanceof ApiError && Object.hasOwn(TITLES, error.code);
}

export function Elsewhere({ error }: { error: ApiError }) {
  const leave = useMutation({ mutationFn: signOut, onSettled: () => window.location.assign(`${scopePrefix}/sign-in`) });
  return (
    <main className="grid min-h-dvh place-items-center px-3 py-8">
      <div className="w-full max-w-lg">
        <Brand className="mb-4 block text-center" />
        <Panel>
          <div className="space-y-1 p-5">
            <h1 className="text-xl font-[620] tracking-[-0.015em]">{TITLES[error.code]}</h1>
            <p className="text-ink2">
              {error.code === "scope_not_found"
                ? "The tenant or project of this address is not there, or you hold no role in it."
                : error.code === "scope_needed"
                  ? "You hold roles in several tenants. Choose one; the address then names it."
                  : `${error.message}.`}
            </p>
          </div>
          {error.code === "no_role" ? null : (
            <div className="border-t">
              <PlaceList here={null} projects={[]} />
            </div>
          )}
          <div className="flex flex-wrap gap-2 border-t px-5 py-3">
            {scopePrefix ? <Button onClick={() => goToScope({})}>Go to my usual place</Button> : null}
            <Button variant="ghost" onClick={() => leave.mutate()}>
              <LogOut aria-hidden />
              Sign out
            </Button>
          </div>
        </Panel>
      </div>
    </main>
  );
}
