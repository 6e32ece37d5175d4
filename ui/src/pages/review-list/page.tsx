// What waits for one's decision in the tenant, one's own that was decided, and what one was told of.
import { useInfiniteQuery, useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { notificationsRead } from "@/api/mutations";
import { inboxQuery, meQuery, notificationsQuery } from "@/api/queries";
import type { Notification } from "@/api/types";
import { InboxRows } from "@/components/inbox-rows";
import { ListFrame } from "@/components/list-frame";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";
import { ReviewLink } from "@/components/review-link";
import { CommandLine, Empty, Failure } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { usePluralOf } from "@/kinds/access";

export default function ReviewListPage() {
  const me = useSuspenseQuery(meQuery).data;
  const query = useInfiniteQuery(inboxQuery());
  return (
    <>
      <PageHeader title="Reviews" documentTitle="Reviews" note={<span className="text-ink2">in every project of {me.tenant.name} where you may decide</span>} />
      <div className="grid items-start gap-3.5 xl:grid-cols-[minmax(0,1.7fr)_minmax(0,1fr)]">
        <Panel title="Needs you" aside="what waits for your decision, and your own that was decided">
          <ListFrame
            query={query}
            what="what waits for you"
            noun="item"
            empty={
              <Empty title="Nothing waits for you">
                A revision that somebody submits stands here until you decide on it: under its revisions, or with <CommandLine>qd submit pipelines/curate</CommandLine>. So does a plan that wants a second person.
              </Empty>
            }
          >
            {(items) => <InboxRows items={items} />}
          </ListFrame>
        </Panel>
        <Notifications />
      </div>
    </>
  );
}

const WORDS: Record<string, string> = {
  "revision.submitted": "submitted",
  "revision.approved": "approved",
  "revision.rejected": "rejected",
  "revision.withdrawn": "withdrew",
  "revision.commented": "commented on",
  "revision.approval_stale": "made stale the approval of",
};

function Notifications() {
  const client = useQueryClient();
  const query = useInfiniteQuery(notificationsQuery());
  const read = useMutation({
    mutationFn: notificationsRead,
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: ["notifications"] });
      void client.invalidateQueries({ queryKey: ["inbox"] });
    },
  });
  const unread = (query.data ?? []).filter((each) => !each.read_at);
  return (
    <Panel
      title="Told to you"
      aside={
        unread.length > 0 ? (
          <Button size="sm" disabled={read.isPending} onClick={() => read.mutate([])}>
            Mark all as read
          </Button>
        ) : (
          "newest first"
        )
      }
    >
      {read.isError ? <Failure what="They were not marked as read" error={read.error} className="border-b" /> : null}
      <ListFrame query={query} what="the notifications" noun="notification" empty={<Empty title="Nothing yet">You are told when your revision is decided on, or somebody comments on it.</Empty>}>
        {(items) => (
          <ul>
            {items.map((each) => (
              <NotificationRow key={each.id} notification={each} />
            ))}
          </ul>
        )}
      </ListFrame>
    </Panel>
  );
}

function NotificationRow({ notification: { what, by, name, kind, revision, project, message, created_at, read_at } }: { notification: Notification }) {
  const plural = usePluralOf()(kind);
  return (
    <li className="grid grid-cols-[8px_minmax(0,1fr)_auto] items-baseline gap-x-2.5 border-t px-3.5 py-2 first:border-t-0">
      <span aria-hidden className={read_at ? "size-[7px]" : "size-[7px] rounded-full bg-accent"} />
      <span className="min-w-0 break-words">
        <b className="font-[560]">{by}</b> {WORDS[what] ?? what}{" "}
        <ReviewLink plural={plural} name={name} number={revision} project={project} />
        {message ? <span className="text-ink2"> “{message}”</span> : null}
        {read_at ? null : <span className="sr-only"> not read</span>}
      </span>
      <Ago at={created_at} className="text-xs text-ink3" />
    </li>
  );
}
