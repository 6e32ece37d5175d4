import { useInfiniteQuery } from "@tanstack/react-query";
import { resourceEventsQuery } from "@/api/queries";
import { EventRows } from "@/components/event-rows";
import { Panel } from "@/components/panel";
import type { TabProps } from "@/kinds/registry";

export default function EventsTab({ kind, resource }: TabProps) {
  const query = useInfiniteQuery(resourceEventsQuery(kind.plural, resource.name));
  return (
    <Panel title="Events" aside="newest first">
      <EventRows query={query} />
    </Panel>
  );
}
