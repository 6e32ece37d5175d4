// A field that names a secret: chosen among those of the project, or written anew. What a secret holds is never shown.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Plus, X } from "lucide-react";
import { useId, useState } from "react";
import { useMay } from "@/access/may";
import { secretsQuery } from "@/api/queries";
import type { Json, JsonObject } from "@/api/types";
import { Prose } from "@/components/prose";
import { Button } from "@/components/ui/button";
import { Input, NativeSelect } from "@/components/ui/input";
import { WriteSecretDialog } from "@/pages/secret-list/write-dialog";
import { pathOf, type SecretFieldInfo, secretWords } from "./spec";

const NO_PATH = /[^A-Za-z0-9._/-]+/g;

interface OneProps {
  label: string;
  /** Where a new one is offered to be written. */
  offered: string;
  value: Json | undefined;
  onChange: (value: Json | null) => void;
}

function One({ label, offered, value, onChange, id, describedBy }: OneProps & { id: string; describedBy?: string }) {
  const may = useMay();
  const [writing, setWriting] = useState(false);
  const known = useInfiniteQuery({ ...secretsQuery(), enabled: may("secrets.list") }).data ?? [];
  const references = known.map((secret) => `secret://${secret.path}`);
  const now = secretWords(value);
  // What stands there and is no secret of the list stays choosable: a fixed version, a variable, a file.
  const other = now && !references.includes(now) ? now : null;
  const path = pathOf(value);
  return (
    <span className="flex flex-wrap gap-2">
      <NativeSelect
        id={id}
        aria-describedby={describedBy}
        value={now ?? ""}
        className="mono w-auto min-w-56 flex-1"
        onChange={(event) => {
          const chosen = event.target.value;
          if (chosen !== now) onChange(chosen === "" ? null : chosen);
        }}
      >
        <option value="">not set</option>
        {other ? <option value={other}>{other}</option> : null}
        {references.map((reference) => (
          <option key={reference} value={reference}>
            {reference}
          </option>
        ))}
      </NativeSelect>
      {may("secrets.write") ? (
        <Button aria-label={path ? `Replace the value of ${label}` : `Write a secret for ${label}`} onClick={() => setWriting(true)}>
          {path ? "Replace value…" : "Write new…"}
        </Button>
      ) : null}
      {writing ? (
        <WriteSecretDialog
          secret={path ? known.find((secret) => secret.path === path) : undefined}
          path={path ?? offered.replaceAll(NO_PATH, "-")}
          onWritten={(secret) => {
            if (secret.path !== path) onChange(`secret://${secret.path}`);
          }}
          onClose={() => setWriting(false)}
        />
      ) : null}
    </span>
  );
}

export function SecretField({ of, field, value, onChange }: { of: string; field: SecretFieldInfo; value: Json | undefined; onChange: (value: Json | null) => void }) {
  const id = useId();
  const help = `${id}-help`;
  return (
    <div role={field.many ? "group" : undefined} aria-labelledby={field.many ? `${id}-label` : undefined}>
      <div className="mb-1 flex flex-wrap items-baseline gap-x-2">
        {field.many ? (
          <span id={`${id}-label`} className="font-[520]">
            {field.name}
          </span>
        ) : (
          <label htmlFor={id} className="font-[520]">
            {field.name}
          </label>
        )}
        <span className="ml-auto text-xs text-ink3">{field.required ? "needed" : "optional"} · a secret, never shown</span>
      </div>
      {field.many ? (
        <Many of={of} name={field.name} value={value} onChange={onChange} />
      ) : (
        <One id={id} describedBy={help} label={field.name} offered={`${of || "connection"}/${field.name}`} value={value} onChange={onChange} />
      )}
      {field.description ? (
        <p id={help} className="mt-1 text-xs text-ink2">
          <Prose>{field.description}</Prose>
        </p>
      ) : null}
    </div>
  );
}

function Many({ of, name, value, onChange }: { of: string; name: string; value: Json | undefined; onChange: (value: Json | null) => void }) {
  const id = useId();
  const [added, setAdded] = useState("");
  const held: JsonObject = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  const set = (key: string, to: Json | null) => onChange({ ...held, [key]: to ?? "" });
  const add = () => {
    const key = added.trim();
    if (key && !(key in held)) set(key, "");
    setAdded("");
  };
  return (
    <div className="space-y-2">
      {Object.entries(held).map(([key, each], i) => (
        <div key={key} className="flex flex-wrap items-center gap-2">
          <label htmlFor={`${id}-${i}`} className="mono w-32 truncate">
            {key}
          </label>
          <div className="min-w-0 flex-1">
            <One id={`${id}-${i}`} label={`${name} ${key}`} offered={`${of || "connection"}/${key}`} value={each === "" ? undefined : each} onChange={(to) => set(key, to)} />
          </div>
          <Button
            size="icon"
            variant="ghost"
            aria-label={`Remove ${key}`}
            onClick={() => onChange(Object.fromEntries(Object.entries(held).filter(([other]) => other !== key)))}
          >
            <X aria-hidden />
          </Button>
        </div>
      ))}
      <div className="flex gap-2">
        <Input
          value={added}
          aria-label={`Name of another of ${name}`}
          placeholder="x-api-key"
          spellCheck={false}
          autoComplete="off"
          className="w-44 font-mono text-xs"
          onChange={(event) => setAdded(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            add();
          }}
        />
        <Button onClick={add} disabled={!added.trim()}>
          <Plus aria-hidden />
          Add
        </Button>
      </div>
    </div>
  );
}
