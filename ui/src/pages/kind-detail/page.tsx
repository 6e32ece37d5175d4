// One item of any kind: the same frame and tabs for all, plus what kinds/registry.tsx adds.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { Archive, ArchiveRestore, MoreHorizontal, Pencil, Play, Tags } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { useMay, useMayOn } from "@/access/may";
import { Needs } from "@/access/needs";
import { ApiError } from "@/api/error";
import { resourceArchive, resourceRestore } from "@/api/mutations";
import { resourceQuery } from "@/api/queries";
import type { KindInfo, ResourceDetail } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Id } from "@/components/copy";
import { PageHeader, type TabItem, TabLinks } from "@/components/page";
import { Fact, Facts, Panel } from "@/components/panel";
import { RunLink } from "@/components/run-link";
import { Failure } from "@/components/situation";
import { StartRunDialog } from "@/components/start-run-dialog";
import { State } from "@/components/state";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { DropdownMenu, DropdownMenuContent, DropdownMenuItem, DropdownMenuTrigger } from "@/components/ui/dropdown-menu";
import { SkeletonRows } from "@/components/ui/skeleton";
import { hasRoute, nounOf, useKind } from "@/kinds/access";
import { type ExtraTab, extensionOf } from "@/kinds/registry";
import { wordOf } from "@/lib/state";
import { NotFound, PagePending } from "@/shell/fallback";
import { DetailsDialog } from "./details-dialog";
import { GenericOverview } from "./overview";

const RevisionsTab = lazy(() => import("./revisions-tab"));
const RunsTab = lazy(() => import("./runs-tab"));
const AuditTab = lazy(() => import("./audit-tab"));
const SharingTab = lazy(() => import("./sharing-tab"));
const EventsTab = lazy(() => import("./events-tab"));
const YamlTab = lazy(() => import("./yaml-tab"));

export default function KindDetailPage() {
  const { plural, name } = useParams({ from: "/app/$plural/$name" });
  const kind = useKind(plural);
  return kind ? (
    <Needs right={{ action: `${plural}.read`, at: "some" }}>
      <KindDetail key={`${plural}/${name}`} kind={kind} name={name} />
    </Needs>
  ) : (
    <NotFound />
  );
}

function tabsOf(kind: KindInfo, extra: ExtraTab[], mayAudit: boolean): TabItem[] {
  const after = (id: ExtraTab["after"]) => extra.filter((tab) => tab.after === id).map(({ id, label }) => ({ id, label }));
  return [
    { id: "overview", label: "Overview" },
    ...after("overview"),
    ...(kind.runnable ? [{ id: "runs", label: "Runs" }] : []),
    ...after("runs"),
    ...(hasRoute(kind, "revisions") ? [{ id: "revisions", label: "Revisions" }] : []),
    ...after("revisions"),
    ...(hasRoute(kind, "events") ? [{ id: "events", label: "Events" }] : []),
    ...(hasRoute(kind, "audit") && mayAudit ? [{ id: "audit", label: "Audit" }] : []),
    { id: "sharing", label: "Sharing" },
    { id: "yaml", label: "YAML" },
  ];
}

function KindDetail({ kind, name }: { kind: KindInfo; name: string }) {
  const search = useSearch({ from: "/app/$plural/$name" });
  const query = useQuery(resourceQuery(kind.plural, name));
  const extension = extensionOf(kind.plural);
  const may = useMay();
  if (query.isPending) return <PagePending />;
  if (!query.data) {
    if (query.error instanceof ApiError && query.error.status === 404) return <NotFound />;
    return (
      <Panel>
        <Failure what={`Could not read the ${nounOf(kind)} ${name}`} error={query.error} retry={() => void query.refetch()} />
      </Panel>
    );
  }
  const resource = query.data;
  const tabs = tabsOf(kind, extension.tabs, may("audit.read", "some"));
  const tab = tabs.find((each) => each.id === search.tab)?.id ?? "overview";
  const Extra = extension.tabs.find((each) => each.id === tab)?.component;
  const Overview = extension.overview ?? GenericOverview;
  const props = { kind, resource };
  return (
    <>
      <Header kind={kind} resource={resource} />
      <TabLinks tabs={tabs} current={tab} />
      <Suspense
        fallback={
          <Panel>
            <SkeletonRows rows={5} />
          </Panel>
        }
      >
        {Extra ? (
          <Extra {...props} />
        ) : tab === "runs" ? (
          <RunsTab {...props} />
        ) : tab === "revisions" ? (
          <RevisionsTab {...props} />
        ) : tab === "events" ? (
          <EventsTab {...props} />
        ) : tab === "audit" ? (
          <AuditTab {...props} />
        ) : tab === "sharing" ? (
          <SharingTab {...props} />
        ) : tab === "yaml" ? (
          <YamlTab {...props} />
        ) : (
          <Overview {...props} />
        )}
      </Suspense>
    </>
  );
}

function Header({ kind, resource }: { kind: KindInfo; resource: ResourceDetail }) {
  const navigate = useNavigate({ from: "/$plural/$name" });
  const { start } = useSearch({ from: "/app/$plural/$name" });
  const [archiving, setArchiving] = useState(false);
  const [details, setDetails] = useState(false);
  const client = useQueryClient();
  const archived = resource.state === "archived";
  const mayDo = useMayOn(kind.plural, resource.name);
  const Action = extensionOf(kind.plural).action;
  const refresh = () => {
    void client.invalidateQueries({ queryKey: ["resource", kind.plural, resource.name] });
    void client.invalidateQueries({ queryKey: ["resources", kind.plural] });
  };
  const archive = useMutation({
    mutationFn: () => resourceArchive(kind.plural, resource.name, resource.version),
    onSuccess: () => {
      setArchiving(false);
      refresh();
    },
  });
  const restore = useMutation({ mutationFn: () => resourceRestore(kind.plural, resource.name), onSuccess: refresh });
  const setStart = (open: boolean) => void navigate({ search: (old) => ({ ...old, start: open || undefined }), replace: true });

  return (
    <PageHeader
      documentTitle={resource.name}
      title={
        <>
          {resource.name}{" "}
          {resource.display_name && resource.display_name !== resource.name ? (
            <span className="text-lg font-normal tracking-normal text-ink3">{resource.display_name}</span>
          ) : null}
        </>
      }
      note={
        archived ? (
          <State state="archived" />
        ) : resource.changed ? (
          <Link to="." search={{ tab: "yaml" }} title="The working copy differs from the newest revision">
            <State state="draft" word={resource.latest_revision ? `Changed since r${resource.latest_revision.number}` : "Not published yet"} />
          </Link>
        ) : null
      }
      actions={
        <>
          {Action ? (
            <Suspense fallback={null}>
              <Action kind={kind} resource={resource} />
            </Suspense>
          ) : null}
          {kind.runnable && !archived && mayDo("run") ? (
            <Button variant="primary" disabled={!resource.published} onClick={() => setStart(true)} title={resource.published ? undefined : "Publish a revision first"}>
              <Play aria-hidden />
              Start run…
            </Button>
          ) : null}
          {!archived && mayDo("edit") ? (
            <Button asChild>
              <Link to="." search={{ tab: "yaml" }}>
                <Pencil aria-hidden />
                Edit
              </Link>
            </Button>
          ) : null}
          {(archived ? mayDo("restore") : mayDo("update") || mayDo("archive")) ? (
          <DropdownMenu>
            <DropdownMenuTrigger asChild>
              <Button size="icon" aria-label="More actions">
                <MoreHorizontal aria-hidden />
              </Button>
            </DropdownMenuTrigger>
            <DropdownMenuContent align="end">
              {archived ? (
                <DropdownMenuItem onSelect={() => restore.mutate()}>
                  <ArchiveRestore aria-hidden /> Restore
                </DropdownMenuItem>
              ) : (
                <>
                  {mayDo("update") ? (
                    <DropdownMenuItem onSelect={() => setDetails(true)}>
                      <Tags aria-hidden /> Edit details…
                    </DropdownMenuItem>
                  ) : null}
                  {mayDo("archive") ? (
                    <DropdownMenuItem onSelect={() => setArchiving(true)}>
                      <Archive aria-hidden /> Archive…
                    </DropdownMenuItem>
                  ) : null}
                </>
              )}
            </DropdownMenuContent>
          </DropdownMenu>
          ) : null}
        </>
      }
    >
      <Facts className="mt-2.5">
        <Fact label="Published">
          {resource.published ? (
            <>
              <b>r{resource.published.number}</b> <Ago at={resource.published.published_at} />
            </>
          ) : (
            "nothing yet"
          )}
        </Fact>
        {resource.latest_revision && resource.latest_revision.number !== resource.published?.number ? (
          <Fact label="Newest revision">
            <b>r{resource.latest_revision.number}</b> {wordOf(resource.latest_revision.state).toLowerCase()}
          </Fact>
        ) : null}
        {kind.runnable ? (
          <Fact label="Last run">
            {resource.last_run ? (
              <>
                <RunLink run={resource.last_run} of={resource.name} /> <State state={resource.last_run.state} />
              </>
            ) : (
              "never"
            )}
          </Fact>
        ) : null}
        {resource.owners.length > 0 ? (
          <Fact label="Owners">
            <b>{resource.owners.join(", ")}</b>
          </Fact>
        ) : null}
        {resource.teams.length > 0 ? <Fact label="Teams">{resource.teams.join(", ")}</Fact> : null}
        <Fact label="Created">
          {resource.created_by ? <b>{resource.created_by}</b> : null} <Ago at={resource.created_at} />
        </Fact>
        <Fact label="Id">
          <Id id={resource.id} label={`${nounOf(kind)} id`} />
        </Fact>
      </Facts>
      {details ? <DetailsDialog kind={kind} resource={resource} onClose={() => setDetails(false)} /> : null}
      {restore.isError ? <Failure what="It was not restored" error={restore.error} className="mt-3 rounded-md border" /> : null}
      {kind.runnable && mayDo("run") ? <StartRunDialog plural={kind.plural} resource={resource} open={Boolean(start)} onOpenChange={setStart} /> : null}
      <ConfirmDialog
        open={archiving}
        onOpenChange={setArchiving}
        title={`Archive ${resource.name}`}
        confirm="Archive"
        danger
        pending={archive.isPending}
        error={archive.error}
        failed="It was not archived"
        onConfirm={() => archive.mutate()}
        effect={
          <p>
            Takes <b>{resource.name}</b> out of the lists and lets no new run start. Its revisions, runs and audit stay, and it can be restored.
          </p>
        }
      />
    </PageHeader>
  );
}
