// A password under its label.
import { useId } from "react";
import { Input } from "@/components/ui/input";

export function PasswordField({
  label,
  value,
  onChange,
  keeper,
  invalid,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  /** What a browser's keeper of passwords makes of it. */
  keeper: "current-password" | "new-password";
  invalid?: boolean;
}) {
  const id = useId();
  return (
    <div className="space-y-1">
      <label htmlFor={id} className="text-ink2">
        {label}
      </label>
      <Input
        id={id}
        type="password"
        value={value}
        onChange={(event) => onChange(event.target.value)}
        autoComplete={keeper}
        aria-invalid={invalid}
      />
    </div>
  );
}
