// A control under its label, with a hint beside it and what is wrong below it.
import type { ReactNode } from "react";

export function Field({ label, hint, wrong, children }: { label: string; hint?: string | null; wrong?: string | null; children: ReactNode }) {
  return (
    <label className="block">
      <span className="mb-1 block text-xs text-ink2">
        {label} {hint ? <span className="text-ink3">({hint})</span> : null}
      </span>
      {children}
      {wrong ? (
        <span role="alert" className="mt-1 block text-xs text-bad">
          {wrong}
        </span>
      ) : null}
    </label>
  );
}
