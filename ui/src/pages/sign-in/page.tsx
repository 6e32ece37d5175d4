// Sign-in by a one-time code. A link carries it behind the `#`, which no server log sees; it is taken out of the
// address and of the history before anything else happens.
import { useMutation } from "@tanstack/react-query";
import { useNavigate, useRouter, useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { exchangeCode } from "@/api/mutations";
import { CommandLine, Failure } from "@/components/situation";
import { Panel } from "@/components/panel";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import { queryClient } from "@/query-client";
import { Brand } from "@/shell/brand";
import { codeFrom } from "./code";

export default function SignInPage() {
  const { next } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const router = useRouter();
  const [typed, setTyped] = useState("");
  const taken = useRef<string | null>(null);
  const exchange = useMutation({
    mutationFn: exchangeCode,
    onSuccess: async () => {
      queryClient.clear();
      // Only a path of this console: a `next` that names another host is not followed.
      if (next?.startsWith("/") && !next.startsWith("//")) router.history.replace(next);
      else await navigate({ to: "/", replace: true });
    },
  });

  const { mutate } = exchange;
  useEffect(() => {
    document.title = "Sign in · Quarterdeck";
    // Also on hashchange: a link opened while this page is shown changes nothing but the fragment.
    const take = () => {
      const code = codeFrom(window.location.hash);
      if (!code || taken.current === code) return;
      taken.current = code;
      window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
      mutate(code);
    };
    take();
    window.addEventListener("hashchange", take);
    return () => window.removeEventListener("hashchange", take);
  }, [mutate]);

  const fromLink = exchange.isPending && !typed;
  return (
    <main className="grid min-h-dvh place-items-center px-3 py-8">
      <div className="w-full max-w-md">
        <Brand className="mb-4 block text-center" />
        <Panel>
          <div className="space-y-4 p-5">
            <div>
              <h1 className="text-xl font-[620] tracking-[-0.015em]">Sign in</h1>
              <p className="mt-1 text-ink2" role="status">
                {fromLink ? "Signing in with the code of this link…" : "Signing in takes a one-time link. Each works once and for a short time."}
              </p>
            </div>
            {exchange.isError ? <Failure what="This code was not accepted" error={exchange.error} className="rounded-md border bg-bad-soft/40" /> : null}
            <ol className="space-y-2 text-ink2">
              <li className="flex gap-2">
                <span className="text-ink3">1</span>
                <span>
                  In a terminal on the machine that runs Quarterdeck: <CommandLine>qd auth link</CommandLine>. <CommandLine>./x up</CommandLine> prints one when it starts.
                </span>
              </li>
              <li className="flex gap-2">
                <span className="text-ink3">2</span>
                <span>Open the link in this browser, or paste it or its code here.</span>
              </li>
            </ol>
            <form
              className="flex gap-2"
              onSubmit={(event) => {
                event.preventDefault();
                const code = codeFrom(typed) ?? typed.trim();
                if (code) exchange.mutate(code);
              }}
            >
              <Input
                value={typed}
                onChange={(event) => setTyped(event.target.value)}
                aria-label="One-time code or link"
                placeholder="Code or link"
                autoComplete="off"
                spellCheck={false}
                className="font-mono text-xs"
              />
              <Button type="submit" variant="primary" disabled={!typed.trim() || exchange.isPending}>
                {exchange.isPending ? "Signing in…" : "Sign in"}
              </Button>
            </form>
          </div>
        </Panel>
      </div>
    </main>
  );
}
