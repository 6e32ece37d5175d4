// The password that an invitation is used up with, typed twice.
import { useState } from "react";
import { Button } from "@/components/ui/button";
import { PasswordField } from "./password-field";

const SHORTEST = 12;

export function InvitationForm({ pending, onChosen }: { pending: boolean; onChosen: (password: string) => void }) {
  const [chosen, setChosen] = useState("");
  const [again, setAgain] = useState("");
  const long = [...chosen].length >= SHORTEST;
  const differs = again !== "" && again !== chosen;
  return (
    <form
      className="space-y-3"
      onSubmit={(event) => {
        event.preventDefault();
        if (long && again === chosen) onChosen(chosen);
      }}
    >
      <p className="text-ink2">You were invited. What you choose here is what you sign in with from now on.</p>
      <PasswordField label={`Password, ${SHORTEST} characters at least`} value={chosen} onChange={setChosen} keeper="new-password" />
      <PasswordField label="The same again" value={again} onChange={setAgain} keeper="new-password" invalid={differs} />
      {differs ? <p className="text-bad">The two differ.</p> : null}
      <Button type="submit" variant="primary" disabled={!long || again !== chosen || pending}>
        {pending ? "Signing in…" : "Choose and sign in"}
      </Button>
    </form>
  );
}
