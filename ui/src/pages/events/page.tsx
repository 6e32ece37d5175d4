import { useInfiniteQuery } from "@tanstack/react-query";
import { eventsQuery } from "@/api/queries";
import { EventRows } from "@/components/event-rows";
import { PageHeader } from "@/components/page";
import { Panel } from "@/components/panel";

export default function EventsPage() {
  const query = useInfiniteQuery(eventsQuery());
  return (
    <>
      <PageHeader title="Events" documentTitle="Events" note={<span className="text-ink2">everything that happened, newest first</span>} />
      <Panel>
        <EventRows query={query} />
      </Panel>
    </>
  );
}
