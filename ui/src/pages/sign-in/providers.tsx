// A button for each OpenID provider. What went wrong there comes back as a code in the address of this page.
import { queryOptions, useQuery } from "@tanstack/react-query";
import { api, segment } from "@/api/client";
import type { ProviderList } from "@/api/types";
import { Button } from "@/components/ui/button";

const providersQuery = queryOptions({
  queryKey: ["providers"],
  queryFn: async ({ signal }) => (await api.get<ProviderList>("/auth/providers", {}, signal)).items,
  staleTime: Infinity,
});

export function Providers({ next }: { next?: string }) {
  const { data } = useQuery(providersQuery);
  if (!data?.length) return null;
  const query = next ? `?next=${encodeURIComponent(next)}` : "";
  return (
    <div className="space-y-2 border-t pt-4">
      {data.map((provider) => (
        <Button key={provider.name} asChild className="w-full">
          <a href={`/api/v1/auth/oidc/${segment(provider.name)}/start${query}`}>Sign in with {provider.display_name}</a>
        </Button>
      ))}
    </div>
  );
}

const WHY: Record<string, string> = {
  bad_credential: "The account is suspended. Ask an administrator.",
  provider_answer: "What the provider said does not hold. Try again; if it stays so, the server's log says more.",
  provider_denied: "The provider let nobody in, or you said no there.",
  provider_not_found: "There is no such provider here.",
  provider_unavailable: "The provider cannot be reached. Try again in a while.",
  sign_in_state: "This sign-in was begun in another browser, or more than ten minutes ago. Begin anew.",
};

/** Why a sign-in elsewhere came to nothing. */
export function Refusal({ code }: { code: string }) {
  return (
    <div role="alert" className="space-y-0.5 rounded-md border bg-bad-soft/40 px-3.5 py-3.5">
      <p className="font-[560] text-bad">You are not signed in</p>
      <p className="break-words text-ink">{WHY[code] ?? "The sign-in came to nothing. Try again."}</p>
      <p className="mono text-xs text-ink3">{code}</p>
    </div>
  );
}
