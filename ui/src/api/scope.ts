// Where this page works: the tenant and project that its address names (`/t/acme/p/lab/runs`), or, where it names none, those
// that the server takes for whoever is signed in. The address holds it, so that a reload, a link and a second tab keep it.
// Working elsewhere loads the console anew: nothing that was read in one scope is left in another.

export interface Scope {
  tenant?: string;
  project?: string;
}

const NAMED = /^\/t\/([A-Za-z0-9-]{1,64})(?:\/p\/([A-Za-z0-9-]{1,64}))?(?=\/|$)/;

export function scopeOf(pathname: string): Scope {
  const named = NAMED.exec(pathname);
  return { tenant: named?.[1], project: named?.[2] };
}

/** What stands before every address of a scope: of pages, of the API, of the stream. */
export function prefixOf({ tenant, project }: Scope): string {
  if (!tenant) return "";
  return `/t/${encodeURIComponent(tenant)}${project ? `/p/${encodeURIComponent(project)}` : ""}`;
}

export const scopePrefix = prefixOf(scopeOf(globalThis.location?.pathname ?? "/"));

/** Works elsewhere from now on, beginning at its home. */
export function goToScope(scope: Scope): void {
  window.location.assign(`${prefixOf(scope)}/`);
}
