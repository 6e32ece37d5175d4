import { Link } from "@tanstack/react-router";

/** `curate #42`: the name leads to the run, not to the resource. */
export function RunLink({ run, of }: { run: { id: string; number: number; resource?: { name: string } }; of?: string }) {
  const name = run.resource?.name ?? of;
  return (
    <Link to="/runs/$run" params={{ run: run.id }} search={{}} className="link inline-flex items-baseline gap-1.5 whitespace-nowrap max-sm:min-h-11 max-sm:items-center max-sm:[dd_&]:-my-3">
      {name} <span className="mono text-ink3">#{run.number}</span>
    </Link>
  );
}
