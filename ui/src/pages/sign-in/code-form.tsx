// A one-time code, for whoever can run `qd` on the machine or is signed in elsewhere.
import { useState } from "react";
import { CommandLine } from "@/components/situation";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import { codeFrom } from "./code";

export function CodeForm({ pending, onCode }: { pending: boolean; onCode: (code: string) => void }) {
  const [typed, setTyped] = useState("");
  return (
    <div className="space-y-2 border-t pt-4">
      <p className="text-ink2" role="status">
        {pending && !typed ? "Signing in with the code of this link…" : "Or by a one-time link, which works once and for a short time."}
      </p>
      <p className="text-ink2">
        <CommandLine>qd auth link</CommandLine> makes one on the machine that runs Quarterdeck; <CommandLine>./x up</CommandLine> prints one
        when it starts. Open it in this browser, or paste it here.
      </p>
      <form
        className="flex gap-2"
        onSubmit={(event) => {
          event.preventDefault();
          const code = codeFrom(typed) ?? typed.trim();
          if (code) onCode(code);
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
        <Button type="submit" disabled={!typed.trim() || pending}>
          Use
        </Button>
      </form>
    </div>
  );
}
