// What is known of an item beside its spec: name for people, description, labels, tags, whom it belongs to. A change of it is
// no job and no revision.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useMayOn } from "@/access/may";
import { resourceUpdate } from "@/api/mutations";
import type { KindInfo, ResourceDetail, ResourceDetails } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { Input, Textarea } from "@/components/ui/input";
import { labelsFrom, wordsFrom } from "./details";

export function DetailsDialog({ kind, resource, onClose }: { kind: KindInfo; resource: ResourceDetail; onClose: () => void }) {
  const client = useQueryClient();
  const [displayName, setDisplayName] = useState(resource.display_name);
  const [description, setDescription] = useState(resource.description);
  const [labels, setLabels] = useState(
    Object.entries(resource.labels)
      .map(([key, value]) => `${key}:${value}`)
      .join(", "),
  );
  const [tags, setTags] = useState(resource.tags.join(", "));
  const [owners, setOwners] = useState(resource.owners.join(", "));
  const [teams, setTeams] = useState(resource.teams.join(", "));
  // Changing whom it belongs to is sharing it.
  const mayShare = useMayOn(kind.plural, resource.name)("share");
  const read = labelsFrom(labels);
  const save = useMutation({
    mutationFn: (details: ResourceDetails) => resourceUpdate(kind.plural, resource.name, details, resource.version),
    onSuccess: () => {
      onClose();
      for (const key of ["resource", "sharing"]) void client.invalidateQueries({ queryKey: [key, kind.plural, resource.name] });
      void client.invalidateQueries({ queryKey: ["resources", kind.plural] });
    },
  });
  const field = (label: string, hint: string | null, control: ReactNode) => (
    <label className="block">
      <span className="mb-1 block text-xs text-ink2">
        {label} {hint ? <span className="text-ink3">({hint})</span> : null}
      </span>
      {control}
    </label>
  );
  return (
    <ConfirmDialog
      open
      onOpenChange={(open) => !open && onClose()}
      title={`Details of ${resource.name}`}
      confirm="Save"
      pending={save.isPending}
      error={save.error}
      failed="The details were not saved"
      blocked={!read}
      onConfirm={() => {
        if (!read) return;
        save.mutate({
          display_name: displayName.trim(),
          description: description.trim(),
          labels: read,
          tags: wordsFrom(tags),
          ...(mayShare ? { owners: wordsFrom(owners), teams: wordsFrom(teams) } : {}),
        });
      }}
      effect={<p>Changes how it is found and who looks after it. The spec and its revisions stay as they are.</p>}
    >
      {field("Display name", null, <Input value={displayName} maxLength={120} onChange={(event) => setDisplayName(event.target.value)} />)}
      {field("Description", null, <Textarea value={description} onChange={(event) => setDescription(event.target.value)} />)}
      {field(
        "Labels",
        "key:value, separated by commas",
        <Input value={labels} aria-invalid={read ? undefined : true} spellCheck={false} onChange={(event) => setLabels(event.target.value)} />,
      )}
      {read ? null : (
        <p role="alert" className="text-xs text-bad">
          Each label is a key, a colon and a value.
        </p>
      )}
      {field("Tags", "separated by commas", <Input value={tags} onChange={(event) => setTags(event.target.value)} />)}
      {mayShare ? (
        <>
          {field("Owners", "people and services, separated by commas", <Input value={owners} onChange={(event) => setOwners(event.target.value)} />)}
          {field("Teams", "that own it, separated by commas", <Input value={teams} onChange={(event) => setTeams(event.target.value)} />)}
        </>
      ) : null}
    </ConfirmDialog>
  );
}
