import type { User } from "@/api/types";
import { State } from "@/components/state";

/** A person who has chosen no password yet has not accepted an invitation, and signs in by a link if at all. */
export function AccountState({ user }: { user: User }) {
  const without = user.state === "active" && user.kind === "user" && !user.has_password;
  return <State state={user.state} word={without ? "No password yet" : undefined} tone={user.state === "suspended" ? "bad" : without ? "idle" : undefined} />;
}
