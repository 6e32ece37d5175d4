import type { ComponentProps, ReactNode } from "react";
import { cn } from "@/lib/cn";

export function Panel({
  title,
  aside,
  children,
  className,
  ...props
}: Omit<ComponentProps<"section">, "title"> & { title?: ReactNode; aside?: ReactNode }) {
  return (
    <section className={cn("flex min-w-0 flex-col rounded-lg border bg-panel shadow-panel", className)} {...props}>
      {title ? (
        <header className="flex min-h-10 flex-wrap items-center gap-x-3 gap-y-1 border-b px-3.5 py-2">
          <h2 className="font-semibold">{title}</h2>
          {aside ? <div className="ml-auto flex flex-wrap items-center gap-2 text-2xs text-ink3">{aside}</div> : null}
        </header>
      ) : null}
      {children}
    </section>
  );
}

export function Row({ className, ...props }: ComponentProps<"div">) {
  return (
    <div
      className={cn("flex min-w-0 items-center gap-3 border-t px-3.5 py-2 first:border-t-0 hover:bg-sunken/60", className)}
      {...props}
    />
  );
}

export function Facts({ children, className }: { children: ReactNode; className?: string }) {
  return <dl className={cn("flex flex-wrap gap-x-7 gap-y-2.5", className)}>{children}</dl>;
}

export function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-[11.5px] text-ink3">{label}</dt>
      <dd className="flex flex-wrap items-baseline gap-x-1.5 text-ink2 [&_b]:font-[540] [&_b]:text-ink max-sm:[&_button]:-my-3">{children}</dd>
    </div>
  );
}

export function Meter({
  value,
  label,
  tone = "run",
  className,
}: {
  value: number | null;
  label: string;
  tone?: "run" | "warn" | "ok" | "bad" | "idle";
  className?: string;
}) {
  const colour = { run: "bg-run", warn: "bg-warn", ok: "bg-ok-solid", bad: "bg-bad", idle: "bg-idle-solid" }[tone];
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={value === null ? undefined : Math.round(value)}
      className={cn("h-1 overflow-hidden rounded-full bg-idle-soft", className)}
    >
      <div className={cn("h-full rounded-full transition-[width] duration-500", colour)} style={{ width: `${value ?? 0}%` }} />
    </div>
  );
}

export function Kbd({ children }: { children: ReactNode }) {
  return (
    <kbd className="inline-flex min-w-5 items-center justify-center rounded-sm border border-b-2 border-line2 bg-panel px-1 font-mono text-2xs text-ink2">
      {children}
    </kbd>
  );
}
