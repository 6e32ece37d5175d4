import { X } from "lucide-react";
import { Dialog as Primitive } from "radix-ui";
import type { ComponentProps, ReactNode } from "react";
import { cn } from "@/lib/cn";

export const Dialog = Primitive.Root;
export const DialogTrigger = Primitive.Trigger;
export const DialogClose = Primitive.Close;

export function DialogContent({
  className,
  children,
  wide = false,
  ...props
}: ComponentProps<typeof Primitive.Content> & { wide?: boolean }) {
  return (
    <Primitive.Portal>
      <Primitive.Overlay className="fixed inset-0 z-40 bg-[rgb(10_16_26/0.44)] data-[state=open]:animate-in data-[state=open]:fade-in-0 data-[state=closed]:animate-out data-[state=closed]:fade-out-0" />
      <Primitive.Content
        className={cn(
          "fixed top-1/2 left-1/2 z-50 flex max-h-[min(92dvh,52rem)] w-[calc(100vw-24px)] -translate-x-1/2 -translate-y-1/2 flex-col rounded-lg border border-line2 bg-panel shadow-float duration-150 data-[state=open]:animate-in data-[state=open]:fade-in-0 data-[state=open]:zoom-in-98 data-[state=closed]:animate-out data-[state=closed]:fade-out-0",
          wide ? "max-w-5xl" : "max-w-xl",
          className,
        )}
        {...props}
      >
        {children}
        <Primitive.Close
          aria-label="Close"
          className="absolute top-2.5 right-2.5 grid size-8 place-items-center rounded-md text-ink3 hover:bg-sunken hover:text-ink max-sm:size-11"
        >
          <X className="size-4" aria-hidden />
        </Primitive.Close>
      </Primitive.Content>
    </Primitive.Portal>
  );
}

export function DialogHeader({ title, description }: { title: ReactNode; description?: ReactNode }) {
  return (
    <div className="border-b px-5 py-3.5 pr-12">
      <Primitive.Title className="text-lg font-semibold tracking-[-0.01em]">{title}</Primitive.Title>
      {description ? (
        <Primitive.Description asChild>
          <div className="mt-0.5 text-ink2">{description}</div>
        </Primitive.Description>
      ) : (
        <Primitive.Description className="sr-only">{title}</Primitive.Description>
      )}
    </div>
  );
}

export function DialogBody({ className, ...props }: ComponentProps<"div">) {
  return <div className={cn("min-h-0 flex-1 overflow-y-auto px-5 py-4", className)} {...props} />;
}

export function DialogFooter({ className, ...props }: ComponentProps<"div">) {
  return (
    <div
      className={cn("flex flex-wrap items-center justify-end gap-2 border-t bg-bg/60 px-5 py-3 rounded-b-lg", className)}
      {...props}
    />
  );
}
