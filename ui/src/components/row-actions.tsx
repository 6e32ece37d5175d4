// What can be done with one row of a list: buttons side by side, and on a narrow screen one menu.
import { MoreHorizontal } from "lucide-react";
import { Button } from "@/components/ui/button";
import { DropdownMenu, DropdownMenuContent, DropdownMenuItem, DropdownMenuTrigger } from "@/components/ui/dropdown-menu";

export interface RowAction {
  /** `Rename…` */
  label: string;
  /** For a reader who sees no row: `Rename lab`. */
  name: string;
  danger?: boolean;
  onSelect: () => void;
}

export function RowActions({ of, actions }: { of: string; actions: RowAction[] }) {
  if (actions.length === 0) return null;
  return (
    <>
      <span className="flex flex-wrap justify-end gap-1.5 max-sm:hidden">
        {actions.map(({ label, name, danger, onSelect }) => (
          <Button key={name} size="sm" variant={danger ? "danger" : undefined} aria-label={name} onClick={onSelect}>
            {label}
          </Button>
        ))}
      </span>
      <span className="sm:hidden">
        <DropdownMenu>
          <DropdownMenuTrigger asChild>
            <Button size="icon" aria-label={`Actions of ${of}`}>
              <MoreHorizontal aria-hidden />
            </Button>
          </DropdownMenuTrigger>
          <DropdownMenuContent align="end">
            {actions.map(({ label, name, danger, onSelect }) => (
              <DropdownMenuItem key={name} className={danger ? "text-bad data-[highlighted]:text-bad" : undefined} onSelect={onSelect}>
                {label}
              </DropdownMenuItem>
            ))}
          </DropdownMenuContent>
        </DropdownMenu>
      </span>
    </>
  );
}
