import { Switch as Primitive } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "@/lib/cn";

export function Switch({ className, ...props }: ComponentProps<typeof Primitive.Root>) {
  return (
    <Primitive.Root
      className={cn(
        "relative inline-flex h-5 w-9 shrink-0 items-center rounded-full border border-line2 bg-idle-soft transition-colors data-[state=checked]:border-accent data-[state=checked]:bg-accent",
        className,
      )}
      {...props}
    >
      <Primitive.Thumb className="block size-3.5 translate-x-0.5 rounded-full bg-ink3 transition-transform data-[state=checked]:translate-x-4.5 data-[state=checked]:bg-accent-ink" />
    </Primitive.Root>
  );
}
