// The form of a connection: its type, and the fields of that type and of no other.
import { useMemo, useState } from "react";
import type { Json, JsonObject, KindInfo, Violation } from "@/api/types";
import { Field } from "@/components/field";
import { ParamForm } from "@/components/param-form";
import { NativeSelect } from "@/components/ui/input";
import { type FieldViolation, type Typed, typedFrom, valuesFrom } from "@/lib/param-form";
import { formOf, type SecretFieldInfo, specOf, typesOf } from "./spec";
import { SecretField } from "./secret-field";

export interface ConnectionDraft {
  type: string;
  typed: Typed;
  secrets: JsonObject;
}

export function useConnectionForm(kind: KindInfo, given?: JsonObject) {
  const types = useMemo(() => typesOf(kind.schema), [kind]);
  const begin = (id: string | undefined, values: JsonObject): ConnectionDraft => {
    const type = types.find((each) => each.id === id) ?? types[0];
    if (!type) return { type: "", typed: {}, secrets: {} };
    const { fields, secrets } = formOf(type, kind.schema);
    const named = secrets.flatMap(({ name }): [string, Json][] => (values[name] === undefined ? [] : [[name, values[name]]]));
    return { type: type.id, typed: typedFrom(fields, values), secrets: Object.fromEntries(named) };
  };
  const [draft, setDraft] = useState(() => begin(typeof given?.type === "string" ? given.type : undefined, given ?? {}));
  const chosen = types.find((each) => each.id === draft.type);
  const shape = useMemo(() => (chosen ? formOf(chosen, kind.schema) : { fields: [], secrets: [] }), [chosen, kind]);
  const read = valuesFrom(shape.fields, draft.typed);
  return {
    types,
    draft,
    shape,
    /** What the form itself finds wrong. */
    wrong: [...read.violations, ...missingSecrets(shape.secrets, draft.secrets)],
    spec: specOf(draft.type, read.values, draft.secrets),
    /** Another type keeps what both have: an address stays an address. */
    setType: (id: string) => setDraft((old) => begin(id, { ...valuesFrom(shape.fields, old.typed).values, ...old.secrets })),
    setTyped: (typed: Typed) => setDraft((old) => ({ ...old, typed })),
    setSecret: (name: string, value: Json | null) => setDraft((old) => ({ ...old, secrets: { ...old.secrets, [name]: value } })),
    reset: (values: JsonObject) => setDraft(begin(typeof values.type === "string" ? values.type : undefined, values)),
  };
}

function missingSecrets(fields: SecretFieldInfo[], values: JsonObject): FieldViolation[] {
  return fields.filter((field) => field.required && !values[field.name]).map((field) => ({ pointer: `/${field.name}`, detail: "This is needed" }));
}

export type ConnectionFormState = ReturnType<typeof useConnectionForm>;

export function ConnectionForm({ name, state, violations, told }: { name: string; state: ConnectionFormState; violations: readonly Violation[]; told: boolean }) {
  const { types, draft, shape } = state;
  const shown = [...(told ? state.wrong : []), ...violations.map((each) => ({ ...each, pointer: each.pointer.replace(/^\/spec/, "") }))];
  return (
    <div className="space-y-3.5">
      <Field label="Type" hint="it decides the fields">
        <NativeSelect value={draft.type} onChange={(event) => state.setType(event.target.value)}>
          {types.map(({ id }) => (
            <option key={id} value={id}>
              {id}
            </option>
          ))}
        </NativeSelect>
      </Field>
      <ParamForm fields={shape.fields} typed={draft.typed} onChange={state.setTyped} violations={shown} />
      {shape.secrets.map((field) => (
        <div key={`${draft.type}/${field.name}`}>
          <SecretField of={name} field={field} value={draft.secrets[field.name] ?? undefined} onChange={(value) => state.setSecret(field.name, value)} />
          {shown
            .filter(({ pointer }) => pointer === `/${field.name}` || pointer.startsWith(`/${field.name}/`))
            .map((each, i) => (
              <p key={i} role="alert" className="mt-1 text-xs text-bad">
                {each.detail}
              </p>
            ))}
        </div>
      ))}
    </div>
  );
}
