// Ids and other texts that can be copied with one press.
import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { Button } from "@/components/ui/button";
import { copyText } from "@/lib/clipboard";
import { cn } from "@/lib/cn";
import { shortId } from "@/lib/format";

function useCopied(): [boolean, (text: string) => void] {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1400);
    return () => clearTimeout(timer);
  }, [copied]);
  return [copied, (text) => void copyText(text).then(setCopied)];
}

export function Id({ id, label, full = false, className }: { id: string; label: string; full?: boolean; className?: string }) {
  const [copied, copy] = useCopied();
  return (
    <button
      type="button"
      title={`${id} – copy`}
      aria-label={`${full ? id : shortId(id)}, ${copied ? `${label} copied` : `copy ${label}`}`}
      onClick={(event) => {
        event.stopPropagation();
        event.preventDefault();
        copy(id);
      }}
      className={cn(
        "mono group inline-flex max-w-full items-center gap-1 rounded text-ink3 hover:text-ink max-sm:min-h-11",
        className,
      )}
    >
      <span className={full ? "text-left break-all" : "truncate"}>{full ? id : shortId(id)}</span>
      {copied ? (
        <Check className="size-3 shrink-0 text-ok" aria-hidden />
      ) : (
        <Copy className="size-3 shrink-0 opacity-0 group-hover:opacity-100 group-focus-visible:opacity-100" aria-hidden />
      )}
    </button>
  );
}

export function CopyButton({ text, label = "Copy", className }: { text: string; label?: string; className?: string }) {
  const [copied, copy] = useCopied();
  return (
    <Button size="sm" className={className} onClick={() => copy(text)}>
      {copied ? <Check aria-hidden /> : <Copy aria-hidden />}
      {copied ? "Copied" : label}
    </Button>
  );
}
