import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { describe, expect, it, vi } from "vitest";
import { ApiError } from "@/api/error";
import { fieldsOf, type Typed, typedFrom, valuesFrom } from "@/lib/param-form";
import { ChangeList } from "./change-list";
import { ConfirmDialog } from "./confirm-dialog";
import { ParamForm } from "./param-form";
import { Failure } from "./situation";
import { State } from "./state";

it("shows a state by its word, not by colour alone", () => {
  render(<State state="failed" />);
  expect(screen.getByText("Failed")).toBeVisible();
});

it("shows what went wrong, why, what to do, and the id to look for", async () => {
  const retry = vi.fn();
  const error = new ApiError({ status: 409, code: "conflict", detail: "another job holds curate", correlation_id: "c-9" });
  render(<Failure what="The run was not started" error={error} retry={retry} />);
  const alert = screen.getByRole("alert");
  for (const text of ["The run was not started", "another job holds curate", "Something else moved first", "conflict", "c-9"]) expect(alert).toHaveTextContent(text);
  await userEvent.click(screen.getByRole("button", { name: "Try again" }));
  expect(retry).toHaveBeenCalledOnce();
});

it("lists changes with pointer, before and after", () => {
  render(<ChangeList changes={[{ pointer: "/stages/1/workers", op: "replace", before: 1, after: 3 }]} />);
  expect(screen.getByRole("listitem")).toHaveTextContent("/stages/1/workers changed: 1→3");
});

describe("param form", () => {
  const fields = fieldsOf({
    required: ["name"],
    properties: {
      name: { type: "string", title: "Name" },
      threshold: { type: "number", default: 0.8, maximum: 1 },
      language: { enum: ["en", "de"], default: "en" },
      loud: { type: "boolean" },
    },
  });
  function Form({ seen }: { seen: (typed: Typed) => void }) {
    const [typed, setTyped] = useState(typedFrom(fields));
    return (
      <ParamForm
        fields={fields}
        typed={typed}
        onChange={(next) => {
          setTyped(next);
          seen(next);
        }}
        violations={[{ pointer: "/params/threshold", detail: "too strict" }]}
      />
    );
  }

  it("is labelled, filled with defaults, and gives typed values back", async () => {
    let typed: Typed = {};
    render(<Form seen={(next) => (typed = next)} />);
    expect(screen.getByLabelText("threshold")).toHaveValue("0.8");
    expect(screen.getByLabelText("threshold")).toBeInvalid();
    expect(screen.getByText("too strict")).toBeVisible();
    await userEvent.type(screen.getByLabelText("Name"), "x");
    await userEvent.selectOptions(screen.getByLabelText("language"), "de");
    await userEvent.click(screen.getByLabelText("loud"));
    expect(valuesFrom(fields, typed)).toEqual({ values: { name: "x", threshold: 0.8, language: "de", loud: true }, violations: [] });
  });
});

it("does not act without the reason where one is kept", async () => {
  const act = vi.fn();
  render(
    <ConfirmDialog open onOpenChange={() => {}} title="Roll back" effect={<p>Makes r5</p>} confirm="Roll back to r1" reason="required" pending={false} error={null} failed="No" onConfirm={act} />,
  );
  expect(screen.getByText("Makes r5")).toBeVisible();
  const confirm = screen.getByRole("button", { name: "Roll back to r1" });
  expect(confirm).toBeDisabled();
  await userEvent.type(screen.getByRole("textbox"), "bad output{Enter}");
  expect(act).toHaveBeenCalledWith("bad output");
});
