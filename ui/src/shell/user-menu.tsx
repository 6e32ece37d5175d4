import { useMutation, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Clock3, Keyboard, LogOut, Monitor, Moon, Sun, UserRound } from "lucide-react";
import { signOut } from "@/api/mutations";
import { meQuery } from "@/api/queries";
import {
  DropdownMenu,
  DropdownMenuContent,
  DropdownMenuItem,
  DropdownMenuLabel,
  DropdownMenuRadioGroup,
  DropdownMenuRadioItem,
  DropdownMenuSeparator,
  DropdownMenuTrigger,
} from "@/components/ui/dropdown-menu";
import { setPreference, type Theme, usePreferences } from "@/lib/preferences";
import { wordOf } from "@/lib/state";
import { clearTrackedJobs } from "@/lib/tracked-jobs";
import { disconnectLive } from "@/live/connection";
import { queryClient } from "@/query-client";

function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const text = words.length > 1 ? `${words[0]?.[0] ?? ""}${words[1]?.[0] ?? ""}` : name.slice(0, 2);
  return text.toUpperCase();
}

export function UserMenu({ onShortcuts }: { onShortcuts: () => void }) {
  const me = useSuspenseQuery(meQuery).data;
  const { theme, zone } = usePreferences();
  const navigate = useNavigate();
  const leave = useMutation({
    mutationFn: signOut,
    onSettled: async () => {
      disconnectLive();
      clearTrackedJobs();
      await navigate({ to: "/sign-in", search: {} });
      queryClient.clear();
    },
  });
  return (
    <DropdownMenu>
      <DropdownMenuTrigger
        aria-label={`${initials(me.principal.name)}, account and settings of ${me.principal.name}`}
        className="grid size-8 shrink-0 place-items-center rounded-full max-sm:size-11"
      >
        <span className="grid size-[26px] place-items-center rounded-full bg-accent text-2xs font-semibold text-accent-ink">
          {initials(me.principal.name)}
        </span>
      </DropdownMenuTrigger>
      <DropdownMenuContent align="end" className="w-60">
        <div className="px-2.5 py-1.5">
          <div className="font-[560]">{me.principal.name}</div>
          <div className="text-xs text-ink3">
            {wordOf((me.principal.roles.join(", ") || me.principal.kind).toLowerCase())} · {me.tenant.name} / {me.project.name}
          </div>
        </div>
        <DropdownMenuSeparator />
        <DropdownMenuLabel>Theme</DropdownMenuLabel>
        <DropdownMenuRadioGroup value={theme} onValueChange={(value) => setPreference("theme", value as Theme)}>
          <DropdownMenuRadioItem value="system">
            <Monitor aria-hidden /> As the system
          </DropdownMenuRadioItem>
          <DropdownMenuRadioItem value="light">
            <Sun aria-hidden /> Light
          </DropdownMenuRadioItem>
          <DropdownMenuRadioItem value="dark">
            <Moon aria-hidden /> Dark
          </DropdownMenuRadioItem>
        </DropdownMenuRadioGroup>
        <DropdownMenuLabel>Times</DropdownMenuLabel>
        <DropdownMenuRadioGroup value={zone} onValueChange={(value) => setPreference("zone", value === "local" ? "local" : "utc")}>
          <DropdownMenuRadioItem value="utc">
            <Clock3 aria-hidden /> UTC
          </DropdownMenuRadioItem>
          <DropdownMenuRadioItem value="local">
            <Clock3 aria-hidden /> Local ({Intl.DateTimeFormat().resolvedOptions().timeZone})
          </DropdownMenuRadioItem>
        </DropdownMenuRadioGroup>
        <DropdownMenuSeparator />
        <DropdownMenuItem onSelect={() => void navigate({ to: "/profile" })}>
          <UserRound aria-hidden /> Profile, tokens and sessions
        </DropdownMenuItem>
        <DropdownMenuItem onSelect={onShortcuts}>
          <Keyboard aria-hidden /> Keyboard shortcuts
        </DropdownMenuItem>
        <DropdownMenuItem onSelect={() => leave.mutate()}>
          <LogOut aria-hidden /> Sign out
        </DropdownMenuItem>
      </DropdownMenuContent>
    </DropdownMenu>
  );
}
