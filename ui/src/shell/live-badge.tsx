// Whether what is on screen is live, and if not, for how long.
import { useLiveStatus } from "@/live/connection";
import { age } from "@/lib/format";
import { useNow } from "@/lib/now";
import { cn } from "@/lib/cn";
import { Tooltip } from "@/components/ui/tooltip";

export function LiveBadge() {
  const status = useLiveStatus();
  const now = useNow();
  const shown = {
    live: { word: "Live", tone: "text-ok", help: "Changes appear here as they happen." },
    connecting: { word: "Connecting", tone: "text-idle", help: "Joining the event stream." },
    reconnecting: {
      word: `Reconnecting, ${age(status.since, Math.max(now, status.since))}`,
      tone: "text-warn",
      help: "The event stream was cut. What is shown is as old as that; it resumes without a gap.",
    },
    "signed-out": { word: "Signed out", tone: "text-bad", help: "The session has ended. Sign in again." },
  }[status.state];
  return (
    <Tooltip content={shown.help}>
      <button
        type="button"
        data-live={status.state}
        className={cn("inline-flex items-center gap-1.5 rounded px-1 text-xs whitespace-nowrap max-sm:min-h-11", shown.tone)}
      >
        <span aria-hidden className={cn("size-[7px] rounded-full bg-current", status.state === "reconnecting" && "motion-safe:animate-pulse-slow")} />
        <span role="status" className={cn(status.state === "live" && "max-sm:sr-only")}>
          {shown.word}
        </span>
      </button>
    </Tooltip>
  );
}
