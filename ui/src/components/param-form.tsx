// The fields of a run's params. Each says its bounds and its default; errors stand under the field they are about.
import { useId } from "react";
import { Prose } from "@/components/prose";
import { Input, NativeSelect, Textarea } from "@/components/ui/input";
import { Switch } from "@/components/ui/switch";
import { inlineJson } from "@/lib/format";
import { type FieldViolation, type ParamField, type Typed, violationsOf } from "@/lib/param-form";

function Field({
  field,
  value,
  onChange,
  violations,
}: {
  field: ParamField;
  value: string | boolean;
  onChange: (value: string | boolean) => void;
  violations: FieldViolation[];
}) {
  const id = useId();
  const wrong = violations.length > 0;
  const text = typeof value === "string" ? value : "";
  const described = `${id}-help`;
  const common = { id, "aria-invalid": wrong || undefined, "aria-describedby": described, "aria-required": field.required || undefined };
  const hints = [
    field.bounds,
    field.default !== undefined ? `default ${inlineJson(field.default)}` : field.required ? "needed" : "optional",
  ].filter(Boolean);
  return (
    <div>
      <div className="mb-1 flex flex-wrap items-baseline gap-x-2">
        <label htmlFor={id} className="font-[520]">
          {field.label}
        </label>
        {field.label !== field.name ? <code className="mono text-ink3">{field.name}</code> : null}
        <span className="ml-auto text-xs text-ink3">{hints.join(" · ")}</span>
      </div>
      {field.control === "boolean" ? (
        <span className="hit inline-flex items-center gap-2">
          <Switch {...common} checked={value === true} onCheckedChange={onChange} />
          <span className="text-ink2">{value === true ? "on" : "off"}</span>
        </span>
      ) : field.control === "choice" ? (
        <NativeSelect {...common} value={text} onChange={(event) => onChange(event.target.value)}>
          {text === "" || !field.required ? <option value="">{field.default === undefined ? "–" : "Default"}</option> : null}
          {field.choices.map((choice) => (
            <option key={JSON.stringify(choice)} value={JSON.stringify(choice)}>
              {inlineJson(choice)}
            </option>
          ))}
        </NativeSelect>
      ) : field.control === "json" ? (
        <Textarea
          {...common}
          value={text}
          onChange={(event) => onChange(event.target.value)}
          spellCheck={false}
          rows={Math.min(10, Math.max(3, text.split("\n").length))}
          placeholder="JSON"
          className="font-mono text-xs"
        />
      ) : (
        <Input
          {...common}
          value={text}
          onChange={(event) => onChange(event.target.value)}
          inputMode={field.control === "text" ? undefined : field.control === "integer" ? "numeric" : "decimal"}
          autoComplete="off"
        />
      )}
      <div id={described} className="mt-1 text-xs">
        {field.description ? (
          <p className="text-ink2">
            <Prose>{field.description}</Prose>
          </p>
        ) : null}
        {violations.map((violation, i) => (
          <p key={i} className="text-bad" role="alert">
            {violation.detail}
          </p>
        ))}
      </div>
    </div>
  );
}

export function ParamForm({
  fields,
  typed,
  onChange,
  violations,
}: {
  fields: readonly ParamField[];
  typed: Typed;
  onChange: (typed: Typed) => void;
  violations: readonly FieldViolation[];
}) {
  return (
    <div className="space-y-3.5">
      {fields.map((field) => (
        <Field
          key={field.name}
          field={field}
          value={typed[field.name] ?? ""}
          onChange={(value) => onChange({ ...typed, [field.name]: value })}
          violations={violationsOf(field.name, violations)}
        />
      ))}
    </div>
  );
}
