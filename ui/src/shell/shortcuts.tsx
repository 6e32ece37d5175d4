import { Dialog, DialogBody, DialogContent, DialogHeader } from "@/components/ui/dialog";
import { Kbd } from "@/components/panel";
import { modKey } from "@/lib/hotkeys";

const SHEET: { group: string; keys: [string[], string][] }[] = [
  {
    group: "Everywhere",
    keys: [
      [[modKey, "K"], "Search and commands"],
      [["/"], "Search and commands"],
      [["?"], "This sheet"],
      [["t"], "Next theme"],
      [["u"], "UTC or local times"],
      [["Esc"], "Close what is open"],
    ],
  },
  {
    group: "Go to",
    keys: [
      [["g", "h"], "Home"],
      [["g", "p"], "The first kind (pipelines)"],
      [["g", "r"], "Runs"],
      [["g", "j"], "Jobs"],
      [["g", "e"], "Events"],
      [["g", "a"], "Audit"],
    ],
  },
  {
    group: "In a log",
    keys: [
      [["f"], "Follow or pause"],
      [["s"], "Search in the log"],
      [["w"], "Wrap long lines"],
    ],
  },
  { group: "In an editor", keys: [[[modKey, "S"], "Save the working copy now"]] },
];

export function Shortcuts({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog open={open} onOpenChange={onOpenChange}>
      <DialogContent
        tabIndex={-1}
        className="outline-none"
        onOpenAutoFocus={(event) => {
          event.preventDefault();
          (event.currentTarget as HTMLElement).focus();
        }}
      >
        <DialogHeader title="Keyboard shortcuts" />
        <DialogBody className="grid gap-x-8 gap-y-5 sm:grid-cols-2">
          {SHEET.map(({ group, keys }) => (
            <section key={group}>
              <h3 className="mb-1.5 text-2xs font-[560] text-ink3">{group}</h3>
              <dl>
                {keys.map(([combo, what]) => (
                  <div key={combo.join()} className="flex items-center justify-between gap-4 border-t py-1.5">
                    <dt className="text-ink2">{what}</dt>
                    <dd className="flex gap-1">
                      {combo.map((key) => (
                        <Kbd key={key}>{key}</Kbd>
                      ))}
                    </dd>
                  </div>
                ))}
              </dl>
            </section>
          ))}
        </DialogBody>
      </DialogContent>
    </Dialog>
  );
}
