import { Command as Primitive } from "cmdk";
import { Search } from "lucide-react";
import type { ComponentProps } from "react";
import { cn } from "@/lib/cn";

export function Command({ className, ...props }: ComponentProps<typeof Primitive>) {
  return <Primitive className={cn("flex min-h-0 flex-col overflow-hidden", className)} {...props} />;
}

export function CommandInput(props: ComponentProps<typeof Primitive.Input>) {
  return (
    <div className="flex items-center gap-2.5 border-b px-4 pr-12">
      <Search className="size-4 shrink-0 text-ink3" aria-hidden />
      <Primitive.Input className="h-12 w-full bg-transparent text-[14px] outline-none" {...props} />
    </div>
  );
}

export function CommandList(props: ComponentProps<typeof Primitive.List>) {
  return <Primitive.List className="max-h-[min(60dvh,26rem)] overflow-y-auto p-1.5" {...props} />;
}

export function CommandEmpty(props: ComponentProps<typeof Primitive.Empty>) {
  return <Primitive.Empty className="px-3 py-8 text-center text-ink3" {...props} />;
}

export function CommandGroup(props: ComponentProps<typeof Primitive.Group>) {
  return (
    <Primitive.Group
      className="[&_[cmdk-group-heading]]:px-2.5 [&_[cmdk-group-heading]]:pt-2 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:text-2xs [&_[cmdk-group-heading]]:font-[560] [&_[cmdk-group-heading]]:text-ink3"
      {...props}
    />
  );
}

export function CommandItem({ className, ...props }: ComponentProps<typeof Primitive.Item>) {
  return (
    <Primitive.Item
      className={cn(
        "hit flex cursor-pointer items-center gap-2.5 rounded-md px-2.5 text-ink2 select-none data-[selected=true]:bg-accent-soft data-[selected=true]:text-ink [&_svg]:size-4 [&_svg]:shrink-0 [&_svg]:text-ink3",
        className,
      )}
      {...props}
    />
  );
}
