import type { ComponentProps } from "react";
import { cn } from "@/lib/cn";

const field =
  "w-full rounded-md border border-line2 bg-panel px-2.5 text-ink shadow-panel aria-invalid:border-bad disabled:opacity-60 focus-visible:outline-offset-0";

export function Input({ className, ...props }: ComponentProps<"input">) {
  return <input className={cn(field, "hit", className)} {...props} />;
}

export function Textarea({ className, ...props }: ComponentProps<"textarea">) {
  return <textarea className={cn(field, "min-h-16 py-2", className)} {...props} />;
}

export function NativeSelect({ className, ...props }: ComponentProps<"select">) {
  return (
    <select
      className={cn(
        field,
        "hit appearance-none bg-[image:linear-gradient(45deg,transparent_50%,var(--ink3)_50%),linear-gradient(135deg,var(--ink3)_50%,transparent_50%)] bg-[position:right_14px_center,right_10px_center] bg-[size:4px_4px,4px_4px] bg-no-repeat pr-7",
        className,
      )}
      {...props}
    />
  );
}
