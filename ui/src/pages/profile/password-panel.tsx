import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { passwordChange } from "@/api/mutations";
import { Panel } from "@/components/panel";
import { Failure } from "@/components/situation";
import { State } from "@/components/state";
import { Button } from "@/components/ui/button";
import { PasswordField } from "@/pages/sign-in/password-field";

const SHORTEST = 12;
const EMPTY = { present: "", chosen: "", again: "" };

export function PasswordPanel() {
  const client = useQueryClient();
  const [typed, setTyped] = useState(EMPTY);
  const change = useMutation({
    mutationFn: passwordChange,
    onSuccess: () => {
      setTyped(EMPTY);
      void client.invalidateQueries({ queryKey: ["credentials"] });
    },
  });
  const set = (part: Partial<typeof EMPTY>) => {
    change.reset();
    setTyped((old) => ({ ...old, ...part }));
  };
  const differs = typed.again !== "" && typed.again !== typed.chosen;
  const ready = typed.present !== "" && [...typed.chosen].length >= SHORTEST && typed.again === typed.chosen;
  return (
    <Panel title="Password" aside="other sessions end with it; tokens stay">
      <form
        className="space-y-3 px-3.5 py-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready && !change.isPending) change.mutate({ present: typed.present, chosen: typed.chosen });
        }}
      >
        <PasswordField label="Present password" value={typed.present} onChange={(present) => set({ present })} keeper="current-password" />
        <PasswordField label={`New password, ${SHORTEST} characters at least`} value={typed.chosen} onChange={(chosen) => set({ chosen })} keeper="new-password" />
        <PasswordField label="The same again" value={typed.again} onChange={(again) => set({ again })} keeper="new-password" invalid={differs} />
        {differs ? <p className="text-bad">The two differ.</p> : null}
        {change.isError ? <Failure what="The password was not changed" error={change.error} className="rounded-md border" /> : null}
        <div className="flex flex-wrap items-center gap-3">
          <Button type="submit" disabled={!ready || change.isPending}>
            {change.isPending ? "Sending…" : "Change password"}
          </Button>
          <span role="status">{change.isSuccess ? <State state="done" word="Changed" /> : null}</span>
        </div>
      </form>
    </Panel>
  );
}
