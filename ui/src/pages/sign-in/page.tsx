// Sign-in with a name and a password, with an OpenID provider, by a one-time code, or by an invitation with which a password is
// chosen. A link carries its code behind the `#`, which no server log sees; it is taken out of the address and of the history
// before anything else.
import { useMutation } from "@tanstack/react-query";
import { useNavigate, useRouter, useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { acceptInvitation, exchangeCode, signIn } from "@/api/mutations";
import { Panel } from "@/components/panel";
import { Failure } from "@/components/situation";
import { queryClient } from "@/query-client";
import { Brand } from "@/shell/brand";
import { codeFrom, invitationFrom } from "./code";
import { CodeForm } from "./code-form";
import { InvitationForm } from "./invitation-form";
import { PasswordForm } from "./password-form";
import { Providers, Refusal } from "./providers";

export default function SignInPage() {
  const onSuccess = useLeave();
  const { next, error: refused } = useSearch({ from: "/sign-in" });
  const exchange = useMutation({ mutationFn: exchangeCode, onSuccess });
  const password = useMutation({ mutationFn: signIn, onSuccess });
  const accept = useMutation({ mutationFn: acceptInvitation, onSuccess });
  const invitation = useLink(exchange.mutate);
  const error = exchange.error ?? password.error ?? accept.error;
  const what = exchange.error ? "This code was not accepted" : accept.error ? "This was not accepted" : "You are not signed in";
  return (
    <main className="grid min-h-dvh place-items-center px-3 py-8">
      <div className="w-full max-w-md">
        <Brand className="mb-4 block text-center" />
        <Panel>
          <div className="space-y-4 p-5">
            <h1 className="text-xl font-[620] tracking-[-0.015em]">{invitation ? "Choose a password" : "Sign in"}</h1>
            {error ? <Failure what={what} error={error} className="rounded-md border bg-bad-soft/40" /> : null}
            {refused && !error ? <Refusal code={refused} /> : null}
            {invitation ? (
              <InvitationForm pending={accept.isPending} onChosen={(chosen) => accept.mutate({ code: invitation, password: chosen })} />
            ) : (
              <>
                <PasswordForm
                  pending={password.isPending}
                  onSignIn={(who) => {
                    exchange.reset();
                    password.mutate(who);
                  }}
                />
                <Providers next={next} />
                <CodeForm
                  pending={exchange.isPending}
                  onCode={(code) => {
                    password.reset();
                    exchange.mutate(code);
                  }}
                />
              </>
            )}
          </div>
        </Panel>
      </div>
    </main>
  );
}

/** What follows once a session is open: to where one was going. */
function useLeave() {
  const { next } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const router = useRouter();
  return async () => {
    queryClient.clear();
    // Only a path of this console: a `next` that names another host is not followed.
    if (next?.startsWith("/") && !next.startsWith("//")) router.history.replace(next);
    else await navigate({ to: "/", replace: true });
  };
}

/** Takes what a link carries out of the address: its code is used at once, its invitation is the answer. */
function useLink(onCode: (code: string) => void): string | null {
  const taken = useRef<string | null>(null);
  const [invitation, setInvitation] = useState<string | null>(null);
  useEffect(() => {
    document.title = "Sign in · Quarterdeck";
    // Also on hashchange: a link opened while this page is shown changes nothing but the fragment.
    const take = () => {
      const code = codeFrom(window.location.hash);
      const invited = invitationFrom(window.location.hash);
      const found = code ?? invited;
      if (!found || taken.current === found) return;
      taken.current = found;
      window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
      setInvitation(invited);
      if (code) onCode(code);
    };
    take();
    window.addEventListener("hashchange", take);
    return () => window.removeEventListener("hashchange", take);
  }, [onCode]);
  return invitation;
}
