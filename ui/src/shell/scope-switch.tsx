// In which tenant and project one works, and the way to another. The choice is the address (api/scope.ts).
import { useInfiniteQuery, useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { Building2, Check, ChevronsUpDown } from "lucide-react";
import { Dialog as Primitive } from "radix-ui";
import { useState } from "react";
import { useMay } from "@/access/may";
import { type Place, placeName, placesOf } from "@/access/places";
import { heldRolesQuery, meQuery, projectsQuery, tenantsQuery } from "@/api/queries";
import { goToScope } from "@/api/scope";
import { Command, CommandEmpty, CommandGroup, CommandInput, CommandItem, CommandList } from "@/components/ui/command";
import { Dialog, DialogContent } from "@/components/ui/dialog";
import { Skeleton } from "@/components/ui/skeleton";

const MANY = 500;

export function useProjectNames(enabled = true): string[] {
  const may = useMay();
  const listed = useInfiniteQuery({ ...projectsQuery(MANY), enabled: enabled && may("projects.list") }).data;
  return (listed ?? []).map((project) => project.name);
}

export function ScopeSwitch() {
  const me = useSuspenseQuery(meQuery).data;
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        type="button"
        onClick={() => setOpen(true)}
        aria-haspopup="dialog"
        aria-label={`Tenant ${me.tenant.name}, project ${me.project.name}: work elsewhere`}
        className="hit mb-2 flex w-full items-center gap-1 rounded-md border bg-sunken px-2.5 text-left text-ink2 hover:border-line2"
      >
        <span className="min-w-0 truncate">
          <b className="font-[560] text-ink">{me.tenant.name}</b> / {me.project.name}
        </span>
        <ChevronsUpDown className="ml-auto size-3.5 shrink-0 text-ink3" aria-hidden />
      </button>
      <Dialog open={open} onOpenChange={setOpen}>
        <DialogContent className="top-[12vh] translate-y-0 overflow-hidden" aria-describedby={undefined}>
          <Primitive.Title className="sr-only">Tenant and project</Primitive.Title>
          <Places here={{ tenant: me.tenant.name, project: me.project.name }} />
        </DialogContent>
      </Dialog>
    </>
  );
}

function Places({ here }: { here: Place }) {
  const projects = useProjectNames();
  return <PlaceList here={here} projects={projects} />;
}

/** Every place that one can work in; choosing one goes there. */
export function PlaceList({ here, projects }: { here: Place | null; projects: string[] }) {
  const tenants = useInfiniteQuery(tenantsQuery(MANY));
  const held = useQuery(heldRolesQuery);
  if (tenants.isPending || held.isPending) {
    return (
      <div role="status" className="space-y-3 p-5">
        <span className="sr-only">Loading</span>
        <Skeleton className="h-4 w-40" />
        <Skeleton className="h-4 w-56" />
      </div>
    );
  }
  const places = placesOf(here?.tenant ?? null, (tenants.data ?? []).map((tenant) => tenant.name), projects, held.data ?? []);
  const groups = [
    ["This tenant", places.filter((place) => place.tenant === here?.tenant)],
    [here ? "Other tenants" : "Tenants", places.filter((place) => place.tenant !== here?.tenant)],
  ] as const;
  return (
    <Command label="Tenant and project">
      <CommandInput placeholder="Tenant or project" />
      <CommandList>
        <CommandEmpty>You hold a role in no place of this name.</CommandEmpty>
        {groups.map(([heading, of]) =>
          of.length > 0 ? (
            <CommandGroup key={heading} heading={heading}>
              {of.map((place) => (
                <PlaceItem key={placeName(place)} place={place} current={place.tenant === here?.tenant && place.project === here.project} />
              ))}
            </CommandGroup>
          ) : null,
        )}
      </CommandList>
    </Command>
  );
}

function PlaceItem({ place, current }: { place: Place; current: boolean }) {
  return (
    <CommandItem value={placeName(place)} onSelect={() => goToScope({ tenant: place.tenant, project: place.project ?? undefined })}>
      <Building2 aria-hidden />
      <span className="min-w-0 truncate">
        <b className="font-[560] text-ink">{place.tenant}</b>
        {place.project ? ` / ${place.project}` : ""}
      </span>
      {current ? (
        <span className="ml-auto inline-flex items-center gap-1 text-xs text-ink3">
          <Check aria-hidden /> here
        </span>
      ) : null}
    </CommandItem>
  );
}
