// The list of any kind: filters in the URL, rows by keyset pages.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Plus, Search, X } from "lucide-react";
import { Suspense, useEffect, useMemo, useState } from "react";
import { useMayDo } from "@/access/may";
import { Needs } from "@/access/needs";
import { resourcesQuery } from "@/api/queries";
import type { KindInfo, Resource } from "@/api/types";
import { columnsFor, DataTable } from "@/components/data-table";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { RunSquares } from "@/components/run-grid";
import { CommandLine, Empty } from "@/components/situation";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { Input, NativeSelect } from "@/components/ui/input";
import { nounOf, titleOf, useKind } from "@/kinds/access";
import { extensionOf } from "@/kinds/registry";
import type { ListSearch } from "@/lib/search";
import { NotFound } from "@/shell/fallback";

const column = columnsFor<Resource>();

function useColumns(kind: KindInfo) {
  const { header, cell: Cell } = extensionOf(kind.plural).column ?? {};
  return useMemo(() => {
    const columns = [
      column.display({
        id: "name",
        header: "Name",
        cell: ({ row: { original: each } }) => (
          <div className="sm:min-w-40">
            <Link to="/$plural/$name" params={{ plural: kind.plural, name: each.name }} search={{}} className="link hit-text font-[540]">
              {each.name}
            </Link>
            {each.display_name && each.display_name !== each.name ? <div className="line-clamp-1 text-ink2">{each.display_name}</div> : null}
          </div>
        ),
      }),
      column.display({
        id: "revision",
        header: "Published",
        meta: { from: "sm" },
        cell: ({ row: { original: each } }) => (
          <span className="whitespace-nowrap">
            {each.published ? `r${each.published.number}` : <span className="text-ink3">not yet</span>}
            {each.changed && each.latest_revision ? (
              <State state="draft" word="Changed" className="ml-2" />
            ) : null}
          </span>
        ),
      }),
      ...(kind.runnable
        ? [
            column.display({
              id: "last",
              header: "Last run",
              cell: ({ row: { original: each } }) =>
                each.last_run ? (
                  <Link to="/runs/$run" params={{ run: each.last_run.id }} search={{}} className="inline-flex items-center gap-2 whitespace-nowrap hover:underline max-sm:min-h-11">
                    <State state={each.last_run.state} />
                    <span className="mono text-ink3 max-sm:hidden">#{each.last_run.number}</span>
                  </Link>
                ) : (
                  <span className="text-ink3">never</span>
                ),
            }),
            column.display({
              id: "recent",
              header: "Recent runs",
              meta: { from: "lg" },
              cell: ({ row: { original: each } }) => {
                const runs = [...each.recent_runs].reverse();
                return runs.length > 0 ? <RunSquares of={each.name} runs={runs} /> : <span className="text-ink3">–</span>;
              },
            }),
          ]
        : []),
      ...(Cell && header
        ? [column.display({ id: "extra", header, cell: ({ row }) => <Suspense fallback={null}><Cell resource={row.original} /></Suspense> })]
        : []),
      column.display({
        id: "labels",
        header: "Labels",
        meta: { from: "xl" },
        cell: ({ row: { original: each } }) => (
          <span className="flex flex-wrap gap-1">
            {Object.entries(each.labels).map(([key, value]) => (
              <Link
                key={key}
                to="/$plural"
                params={{ plural: kind.plural }}
                search={(old: ListSearch) => ({ ...old, label: `${key}:${value}` })}
                className="mono rounded bg-sunken px-1.5 text-ink2 hover:text-ink"
              >
                {key}:{value}
              </Link>
            ))}
          </span>
        ),
      }),
      column.display({
        id: "updated",
        header: "Updated",
        meta: { align: "right", from: "sm", className: "whitespace-nowrap" },
        cell: ({ row: { original: each } }) => <Ago at={each.updated_at} className="text-ink2" />,
      }),
    ];
    return columns;
  }, [kind, header, Cell]);
}

export default function KindListPage() {
  const { plural } = useParams({ from: "/app/$plural" });
  const kind = useKind(plural);
  return kind ? (
    <Needs right={{ action: `${plural}.list`, at: "some" }}>
      <KindList key={plural} kind={kind} />
    </Needs>
  ) : (
    <NotFound />
  );
}

function KindList({ kind }: { kind: KindInfo }) {
  const search = useSearch({ from: "/app/$plural" });
  const navigate = useNavigate({ from: "/$plural" });
  const [text, setText] = useState(search.q ?? "");
  const query = useInfiniteQuery(resourcesQuery(kind.plural, search));
  const columns = useColumns(kind);
  const filtered = Boolean(search.q || search.label || (search.state && search.state !== "active"));

  useEffect(() => {
    const timer = setTimeout(() => {
      if ((search.q ?? "") !== text.trim()) void navigate({ search: (old) => ({ ...old, q: text.trim() || undefined }), replace: true });
    }, 250);
    return () => clearTimeout(timer);
  }, [text, search.q, navigate]);

  const mayDo = useMayDo(kind.plural);
  const create = mayDo("create") ? (
    <Button asChild variant="primary">
      <Link to="/$plural/new" params={{ plural: kind.plural }}>
        <Plus aria-hidden />
        New {nounOf(kind)}
      </Link>
    </Button>
  ) : null;

  return (
    <>
      <PageHeader title={titleOf(kind)} documentTitle={titleOf(kind)} actions={create}>
        {kind.summary ? <p className="mt-0.5 text-ink2">{kind.summary}</p> : null}
      </PageHeader>
      <div className="mb-3 flex flex-wrap gap-2">
        <div className="relative w-full sm:w-72">
          <Search className="absolute top-1/2 left-2.5 size-3.5 -translate-y-1/2 text-ink3" aria-hidden />
          <Input
            type="search"
            value={text}
            onChange={(event) => setText(event.target.value)}
            aria-label={`Search ${titleOf(kind).toLowerCase()} by name`}
            placeholder="Name"
            className="pl-8"
          />
        </div>
        <NativeSelect
          aria-label="State"
          value={search.state ?? "active"}
          onChange={(event) => void navigate({ search: (old) => ({ ...old, state: event.target.value === "active" ? undefined : event.target.value }) })}
          className="w-auto"
        >
          <option value="active">Active</option>
          <option value="archived">Archived</option>
        </NativeSelect>
        <LabelFilter value={search.label} onChange={(label) => void navigate({ search: (old) => ({ ...old, label }) })} />
      </div>
      <Panel>
        <DataTable
          label={titleOf(kind)}
          noun={nounOf(kind)}
          columns={columns}
          query={query}
          rowKey={(row) => row.id}
          empty={
            filtered ? (
              <Empty
                title="Nothing matches these filters"
                action={
                  <Button
                    onClick={() => {
                      setText("");
                      void navigate({ search: {} });
                    }}
                  >
                    Clear filters
                  </Button>
                }
              />
            ) : (
              <Empty title={`No ${titleOf(kind).toLowerCase()} yet`} action={create}>
                {create ? "Write one here, or apply a file:" : "Whoever may create one applies a file:"} <CommandLine>{`qd apply -f ${nounOf(kind).replaceAll(" ", "-")}.yaml`}</CommandLine>
              </Empty>
            )
          }
        />
      </Panel>
    </>
  );
}

function LabelFilter({ value, onChange }: { value: string | undefined; onChange: (label: string | undefined) => void }) {
  const [text, setText] = useState("");
  if (value) {
    return (
      <Button onClick={() => onChange(undefined)} aria-label={`Remove the filter ${value}`}>
        <span className="mono">{value}</span>
        <X aria-hidden />
      </Button>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (/^[^:]+:.*/.test(text.trim())) onChange(text.trim());
      }}
    >
      <Input
        value={text}
        onChange={(event) => setText(event.target.value)}
        aria-label="Label, as key:value"
        placeholder="Label key:value"
        className="w-40"
      />
    </form>
  );
}
