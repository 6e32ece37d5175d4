// A connection: whether it works, when that was tried, and what it is made of.
import { useIsMutating, useMutationState, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMay } from "@/access/may";
import { workingCopyQuery } from "@/api/queries";
import type { Json, JsonObject } from "@/api/types";
import { Fact, Facts, Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { SpecTree } from "@/components/spec-tree";
import { SkeletonRows } from "@/components/ui/skeleton";
import type { TabProps } from "@/kinds/registry";
import { ReadingState } from "./reading";
import { secretWords, pathOf } from "./spec";
import { statusOf } from "./use-test";

export default function ConnectionOverview({ kind, resource }: TabProps) {
  const draft = useQuery({ ...workingCopyQuery(kind.plural, resource.name), enabled: !resource.spec });
  const spec = resource.spec ?? draft.data?.spec ?? null;
  return (
    <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
      <Panel title="Spec" aside={resource.published ? `published revision r${resource.published.number}` : "working copy, not published"}>
        {spec ? (
          <SpecTree value={spec} schema={kind.schema} />
        ) : draft.isError ? (
          <Failure what="Could not read the working copy" error={draft.error} retry={() => void draft.refetch()} />
        ) : (
          <SkeletonRows rows={4} />
        )}
      </Panel>
      <div className="grid min-w-0 gap-3.5">
        <LastTest resource={resource} />
        <Panel title="Secrets" aside="named here, never shown">
          <SecretPlaces spec={spec} />
        </Panel>
      </div>
    </div>
  );
}

function LastTest({ resource }: Pick<TabProps, "resource">) {
  const status = statusOf(resource);
  const reading = status?.last_test;
  const key = ["connection-test", resource.name];
  const testing = useIsMutating({ mutationKey: key }) > 0;
  const error = useMutationState({ filters: { mutationKey: key }, select: (mutation) => (mutation.state.status === "error" ? mutation.state.error : null) }).at(-1);
  const older = Boolean(reading && resource.published && reading.revision !== resource.published.number);
  return (
    <Panel title="Last test" aside={testing ? <span role="status">testing, ten seconds at most</span> : status ? undefined : "not known"}>
      {error ? <Failure what="It could not be tested" error={error} className="border-b" /> : null}
      {reading ? (
        <div className="space-y-2.5 px-3.5 py-3" data-testid="last-test">
          <p className="flex flex-wrap items-center gap-x-3 gap-y-1">
            <ReadingState reading={reading} stale={older} />
            <span className="min-w-0 break-words text-ink">{reading.detail}</span>
          </p>
          <Facts>
            <Fact label="Took">
              <b>{reading.latency_ms < 10 ? reading.latency_ms.toFixed(1) : Math.round(reading.latency_ms)} ms</b>
            </Fact>
            <Fact label="Revision">
              <b>r{reading.revision}</b>
              {older ? <span className="text-warn">another is published now</span> : null}
            </Fact>
            <Fact label="By">
              <b>{reading.tested_by}</b>
            </Fact>
          </Facts>
        </div>
      ) : (
        <Empty title="Never tested">{resource.published || resource.latest_revision ? "“Test” calls what it leads to, from the server." : "It can be tested once a revision is published."}</Empty>
      )}
    </Panel>
  );
}

function SecretPlaces({ spec }: { spec: JsonObject | null }) {
  const may = useMay();
  const places = spec ? Object.entries(spec).flatMap(([name, value]) => secretsIn(name, value)) : [];
  if (places.length === 0) return <Empty title="It names no secret">A field that takes one is filled under “Form”.</Empty>;
  return (
    <ul>
      {places.map(({ name, words, stored }) => (
        <li key={name} className="flex flex-wrap items-baseline gap-x-3 border-t px-3.5 py-2 first:border-t-0">
          <code className="mono text-ink2">{name}</code>
          {stored && may("secrets.list") ? (
            <Link to="/secrets" className="link mono ml-auto break-all">
              {words}
            </Link>
          ) : (
            <span className="mono ml-auto break-all">{words}</span>
          )}
        </li>
      ))}
    </ul>
  );
}

function secretsIn(name: string, value: Json): { name: string; words: string; stored: boolean }[] {
  const stored = pathOf(value) !== null;
  const words = stored || (typeof value === "object" && value !== null) ? secretWords(value) : null;
  if (words) return [{ name, words, stored }];
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([key, each]) => secretsIn(`${name}/${key}`, each));
}
