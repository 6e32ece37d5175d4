import { cva, type VariantProps } from "class-variance-authority";
import { Slot } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "@/lib/cn";

export const buttonVariants = cva(
  "inline-flex shrink-0 items-center justify-center gap-1.5 rounded-md border font-[520] whitespace-nowrap transition-colors disabled:opacity-55 [&_svg]:size-3.5 [&_svg]:shrink-0",
  {
    variants: {
      variant: {
        default: "border-line2 bg-panel text-ink shadow-panel hover:bg-sunken",
        primary: "border-accent bg-accent text-accent-ink hover:opacity-92",
        danger: "border-line2 bg-panel text-bad shadow-panel hover:bg-bad-soft",
        destructive: "border-bad bg-bad text-panel hover:opacity-92",
        ghost: "border-transparent text-ink2 hover:bg-sunken hover:text-ink",
        link: "border-transparent text-accent underline-offset-2 hover:underline",
      },
      size: {
        default: "hit px-3",
        sm: "min-h-7 px-2 text-xs max-sm:min-h-11",
        icon: "size-8 max-sm:size-11",
        inline: "min-h-6 px-1 max-sm:min-h-11",
      },
    },
    defaultVariants: { variant: "default", size: "default" },
  },
);

export type ButtonProps = ComponentProps<"button"> & VariantProps<typeof buttonVariants> & { asChild?: boolean };

export function Button({ className, variant, size, asChild = false, type, ...props }: ButtonProps) {
  const Comp = asChild ? Slot.Root : "button";
  return (
    <Comp
      type={asChild ? undefined : (type ?? "button")}
      className={cn(buttonVariants({ variant, size }), className)}
      {...props}
    />
  );
}
