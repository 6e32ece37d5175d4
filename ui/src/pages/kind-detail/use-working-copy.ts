// The working copy in an editor: typed text is saved by itself a moment later, under the version it was read
// with. When somebody else saved in between, nothing is overwritten until a person decides.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError } from "@/api/error";
import { workingCopySave } from "@/api/mutations";
import { workingCopyQuery } from "@/api/queries";
import type { JsonObject, WorkingCopy } from "@/api/types";
import type { Marker } from "@/components/code/yaml";

const SAVE_AFTER_MS = 1200;

export type SaveState = "saved" | "typing" | "saving" | "invalid" | "failed" | "conflict";

export interface WorkingCopyEditor {
  copy: WorkingCopy | undefined;
  error: unknown;
  refetch: () => void;
  text: string | null;
  setText: (text: string) => void;
  state: SaveState;
  saveError: unknown;
  /** What keeps the text from being YAML at all. */
  syntax: Marker[];
  save: () => void;
  /** After a conflict: throws the typed text away and takes what is saved now. */
  takeTheirs: () => void;
  /** After a conflict: saves the typed text over what is saved now. */
  keepMine: () => void;
}

export function useWorkingCopy(plural: string, name: string): WorkingCopyEditor {
  const client = useQueryClient();
  const options = workingCopyQuery(plural, name);
  const query = useQuery(options);
  const copy = query.data;
  const [text, setTextState] = useState<string | null>(null);
  const [dirty, setDirty] = useState(false);
  const [syntax, setSyntax] = useState<Marker[]>([]);
  const [conflict, setConflict] = useState(false);
  const base = useRef<number | null>(null);
  const latest = useRef<string>("");

  const adopt = useCallback(async (from: WorkingCopy) => {
    const { toYaml } = await import("@/components/code/yaml");
    base.current = from.version;
    latest.current = toYaml(from.spec);
    setTextState(latest.current);
    setDirty(false);
    setSyntax([]);
    setConflict(false);
  }, []);

  // Taken when it arrives, and again when somebody else saved while nothing is typed here.
  useEffect(() => {
    if (copy && !dirty && base.current !== copy.version) void adopt(copy);
  }, [copy, dirty, adopt]);

  const save = useMutation({
    mutationFn: async ({ spec, version }: { spec: JsonObject; version: number; of: string }) =>
      workingCopySave(plural, name, spec, version),
    onSuccess: (saved, { of }) => {
      base.current = saved.version;
      client.setQueryData(options.queryKey, saved);
      if (latest.current === of) setDirty(false);
      void client.invalidateQueries({ queryKey: ["resource", plural, name] });
    },
    onError: (error) => {
      if (error instanceof ApiError && error.status === 412) setConflict(true);
    },
  });

  const { mutate, isPending } = save;
  const submit = useCallback(
    async (version?: number) => {
      const of = latest.current;
      const { parseYaml } = await import("@/components/code/yaml");
      const parsed = parseYaml(of);
      setSyntax(parsed.errors);
      const at = version ?? base.current;
      if (parsed.value && at !== null) mutate({ spec: parsed.value, version: at, of });
    },
    [mutate],
  );

  useEffect(() => {
    if (!dirty || conflict || isPending) return;
    const timer = setTimeout(() => void submit(), SAVE_AFTER_MS);
    return () => clearTimeout(timer);
  }, [text, dirty, conflict, isPending, submit]);

  const state: SaveState = conflict
    ? "conflict"
    : isPending
      ? "saving"
      : syntax.length > 0 && dirty
        ? "invalid"
        : dirty && save.isError
          ? "failed"
          : dirty
            ? "typing"
            : "saved";

  return {
    copy,
    error: query.error,
    refetch: () => void query.refetch(),
    text,
    setText: (next) => {
      latest.current = next;
      setTextState(next);
      setDirty(true);
      setSyntax([]);
    },
    state,
    saveError: save.error,
    syntax,
    save: () => void submit(),
    takeTheirs: () => void client.fetchQuery({ ...options, staleTime: 0 }).then(adopt),
    keepMine: () =>
      void client.fetchQuery({ ...options, staleTime: 0 }).then((theirs) => {
        setConflict(false);
        return submit(theirs.version);
      }),
  };
}
