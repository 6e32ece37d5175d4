// What a what-if says, by whom and what it is about: one line for all the actions that change alike.
import type { WhatIfChange } from "@/api/types";

export interface ChangeGroup extends Pick<WhatIfChange, "principal" | "object" | "after" | "because"> {
  actions: string[];
}

/** What is taken comes first. */
export function groupsOf(changes: readonly WhatIfChange[]): ChangeGroup[] {
  const groups = new Map<string, ChangeGroup>();
  for (const { principal, action, object, after, because } of changes) {
    const key = JSON.stringify([principal, object, after, because]);
    const group = groups.get(key);
    if (group) group.actions.push(action);
    else groups.set(key, { principal, object, after, because, actions: [action] });
  }
  return [...groups.values()].sort((a, b) => Number(a.after) - Number(b.after));
}
