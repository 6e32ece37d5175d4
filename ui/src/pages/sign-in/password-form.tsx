// A name and a password, as a browser's keeper of passwords knows them.
import { useId, useState } from "react";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import { PasswordField } from "./password-field";

export function PasswordForm({ pending, onSignIn }: { pending: boolean; onSignIn: (who: { name: string; password: string }) => void }) {
  const id = useId();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  return (
    <form
      className="space-y-3"
      onSubmit={(event) => {
        event.preventDefault();
        onSignIn({ name: name.trim(), password });
      }}
    >
      <div className="space-y-1">
        <label htmlFor={id} className="text-ink2">
          Name
        </label>
        <Input id={id} value={name} onChange={(event) => setName(event.target.value)} autoComplete="username" autoCapitalize="none" spellCheck={false} />
      </div>
      <PasswordField label="Password" value={password} onChange={setPassword} keeper="current-password" />
      <Button type="submit" variant="primary" disabled={!name.trim() || !password || pending}>
        {pending ? "Signing in…" : "Sign in"}
      </Button>
    </form>
  );
}
