import { Dialog as Primitive } from "radix-ui";
import type { ReactNode } from "react";

/** A drawer from the left; on narrow screens it holds the navigation. */
export function Sheet({
  open,
  onOpenChange,
  title,
  children,
}: {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  children: ReactNode;
}) {
  return (
    <Primitive.Root open={open} onOpenChange={onOpenChange}>
      <Primitive.Portal>
        <Primitive.Overlay className="fixed inset-0 z-40 bg-[rgb(10_16_26/0.44)] data-[state=open]:animate-in data-[state=open]:fade-in-0" />
        <Primitive.Content className="fixed inset-y-0 left-0 z-50 w-72 max-w-[84vw] overflow-y-auto border-r bg-panel shadow-float duration-200 data-[state=open]:animate-in data-[state=open]:slide-in-from-left data-[state=closed]:animate-out data-[state=closed]:slide-out-to-left">
          <Primitive.Title className="sr-only">{title}</Primitive.Title>
          <Primitive.Description className="sr-only">{title}</Primitive.Description>
          {children}
        </Primitive.Content>
      </Primitive.Portal>
    </Primitive.Root>
  );
}
