// Search and commands: resources of every kind, runs, pages, and what can be done from here.
import { useInfiniteQuery, useQueries, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Box, Clock3, CornerDownRight, FilePlus2, Hash, Moon, Play } from "lucide-react";
import { useDeferredValue, useState } from "react";
import { useMay } from "@/access/may";
import { roomsFor } from "@/access/rooms";
import { api, segment } from "@/api/client";
import { runQuery, runsQuery } from "@/api/queries";
import type { Page, Resource } from "@/api/types";
import { Command, CommandEmpty, CommandGroup, CommandInput, CommandItem, CommandList } from "@/components/ui/command";
import { Dialog, DialogContent } from "@/components/ui/dialog";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { nounOf, titleOf, useSeenKinds } from "@/kinds/access";
import { setPreference, usePreferences } from "@/lib/preferences";
import { Dialog as Primitive } from "radix-ui";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function PaletteBody({ close }: { close: () => void }) {
  const may = useMay();
  const kinds = useSeenKinds();
  const navigate = useNavigate();
  const { theme, zone } = usePreferences();
  const [text, setText] = useState("");
  const q = useDeferredValue(text.trim());
  const runs = useInfiniteQuery({ ...runsQuery({}, 20), enabled: may("runs.list", "some") }).data ?? [];
  const found = useQueries({
    queries: kinds.map((kind) => ({
      queryKey: ["resources", kind.plural, "palette", q],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        api.get<Page<Resource>>(`/${segment(kind.plural)}`, { q: q || undefined, limit: 6 }, signal),
    })),
  });
  const lookUp = UUID.test(q) || /^[a-z][a-z0-9-]*#\d+$/.test(q);
  const exact = useQuery({ ...runQuery(q), enabled: lookUp && may("runs.read", "some"), retry: false }).data;

  const go = (to: () => unknown) => () => {
    close();
    void to();
  };
  const needle = q.toLowerCase();
  const has = (...words: string[]) => !needle || words.some((word) => word.toLowerCase().includes(needle));
  const pages: [string, string][] = [
    ["Home", "/"],
    ...kinds.map((kind): [string, string] => [titleOf(kind), `/${kind.plural}`]),
    ...roomsFor(may).map(({ label, to }): [string, string] => [label, to]),
    ["Profile", "/profile"],
  ];
  const resources = kinds.flatMap((kind, i) => (found[i]?.data?.items ?? []).map((resource) => ({ kind, resource })));
  const shownRuns = exact ? [exact] : runs.filter((run) => has(run.ref, run.id, run.state)).slice(0, needle ? 8 : 5);

  return (
    <Command shouldFilter={false} label="Search and commands">
      <CommandInput value={text} onValueChange={setText} placeholder="Search names, runs (curate#42), ids, or type a command" />
      <CommandList>
        <CommandEmpty>Nothing has this name or id.</CommandEmpty>
        {resources.length > 0 ? (
          <CommandGroup heading="Resources">
            {resources.map(({ kind, resource }) => (
              <CommandItem
                key={resource.id}
                value={`resource ${resource.id}`}
                onSelect={go(() => navigate({ to: "/$plural/$name", params: { plural: kind.plural, name: resource.name } }))}
              >
                <Box aria-hidden />
                <span className="shrink-0 text-ink">{resource.name}</span>
                {resource.display_name ? <span className="truncate text-ink3">{resource.display_name}</span> : null}
                <span className="ml-auto text-xs text-ink3">{nounOf(kind)}</span>
              </CommandItem>
            ))}
          </CommandGroup>
        ) : null}
        {shownRuns.length > 0 ? (
          <CommandGroup heading="Runs">
            {shownRuns.map((run) => (
              <CommandItem
                key={run.id}
                value={`run ${run.id}`}
                onSelect={go(() => navigate({ to: "/runs/$run", params: { run: run.id }, search: {} }))}
              >
                <Hash aria-hidden />
                <span className="text-ink">{run.ref}</span>
                <State state={run.state} />
                <Ago at={run.created_at} className="ml-auto text-xs text-ink3" />
              </CommandItem>
            ))}
          </CommandGroup>
        ) : null}
        {needle ? (
          <CommandGroup heading="Actions">
            {resources
              .filter(({ kind, resource }) => kind.runnable && resource.published && may(`${kind.plural}.run`, "some"))
              .map(({ kind, resource }) => (
                <CommandItem
                  key={resource.id}
                  value={`start ${resource.id}`}
                  onSelect={go(() =>
                    navigate({ to: "/$plural/$name", params: { plural: kind.plural, name: resource.name }, search: { start: true } }),
                  )}
                >
                  <Play aria-hidden />
                  Start a run of <span className="text-ink">{resource.name}</span>…
                </CommandItem>
              ))}
            {kinds
              .filter((kind) => may(`${kind.plural}.create`) && has("new", "create", kind.kind, kind.plural))
              .map((kind) => (
                <CommandItem
                  key={kind.plural}
                  value={`new ${kind.plural}`}
                  onSelect={go(() => navigate({ to: "/$plural/new", params: { plural: kind.plural } }))}
                >
                  <FilePlus2 aria-hidden />
                  New {nounOf(kind)}
                </CommandItem>
              ))}
            {has("theme", "dark", "light") ? (
              <CommandItem
                value="theme"
                onSelect={go(() =>
                  setPreference("theme", document.documentElement.classList.contains("dark") ? "light" : "dark"),
                )}
              >
                <Moon aria-hidden />
                Switch theme <span className="text-ink3">now {theme}</span>
              </CommandItem>
            ) : null}
            {has("utc", "local", "time zone") ? (
              <CommandItem value="zone" onSelect={go(() => setPreference("zone", zone === "utc" ? "local" : "utc"))}>
                <Clock3 aria-hidden />
                Show times in {zone === "utc" ? "local time" : "UTC"}
              </CommandItem>
            ) : null}
          </CommandGroup>
        ) : null}
        {pages.some(([label]) => has(label)) ? (
          <CommandGroup heading="Go to">
            {pages
              .filter(([label]) => has(label))
              .map(([label, to]) => (
                <CommandItem key={to} value={`page ${to}`} onSelect={go(() => navigate({ to }))}>
                  <CornerDownRight aria-hidden />
                  {label}
                </CommandItem>
              ))}
          </CommandGroup>
        ) : null}
      </CommandList>
    </Command>
  );
}

export function Palette({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange}>
      <DialogContent className="top-[12vh] translate-y-0 overflow-hidden" aria-describedby={undefined}>
        <Primitive.Title className="sr-only">Search and commands</Primitive.Title>
        <PaletteBody close={() => onOpenChange(false)} />
      </DialogContent>
    </Dialog>
  );
}
