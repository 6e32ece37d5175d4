import { act, cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "@/api/error";
import type { PlannedChange, Preview } from "@/api/types";
import { fieldsOf, type Typed, typedFrom, valuesFrom } from "@/lib/param-form";
import { ChangeList } from "./change-list";
import { ConfirmDialog } from "./confirm-dialog";
import { ParamForm } from "./param-form";
import { PlanPreview, useRefusal } from "./plan-preview";
import { Failure } from "./situation";
import { State } from "./state";
import { Button } from "./ui/button";

vi.mock("@tanstack/react-router", async (original) => ({ ...(await original<object>()), useNavigate: () => () => {} }));

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

/** A cache of somebody who may keep plans. */
function clientOfPlanner() {
  const client = new QueryClient();
  client.setQueryData(["me"], { permissions: ["plans.create"], some_permissions: [], tenant_permissions: [], platform_permissions: [] });
  return client;
}

function dialog(props: Partial<Parameters<typeof ConfirmDialog>[0]>) {
  const client = clientOfPlanner();
  const always = { open: true, onOpenChange: () => {}, title: "Roll back", effect: <p>Makes r5</p>, confirm: "Roll back to r1", pending: false, error: null, failed: "No", onConfirm: () => {} };
  render(
    <QueryClientProvider client={client}>
      <ConfirmDialog {...always} {...props} />
    </QueryClientProvider>,
  );
}

/** Answers each dry run with a plan that is refused as told; says what was asked. */
function plannedAs(refused: Partial<Preview>, gates: Preview["plan"]["gates"] = []) {
  const plan = { operation: "revision.rollback", input_hash: "sha256:ab", steps: [], gates, preconditions: [], postconditions: [], affected: [], locks: [] };
  const answer = { plan, hash: "sha256:cd", needs_approval: false, ...refused };
  const fetched = vi.fn<typeof fetch>((url) => Promise.resolve(Response.json(typeof url === "string" && url.includes("/apply") ? { plan: answer } : answer)));
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

it("does not act without the reason where one is kept", async () => {
  const confirmed = vi.fn();
  dialog({ reason: "required", onConfirm: confirmed });
  expect(screen.getByText("Makes r5")).toBeVisible();
  const confirm = screen.getByRole("button", { name: "Roll back to r1" });
  expect(confirm).toBeDisabled();
  await userEvent.type(screen.getByRole("textbox"), "bad output{Enter}");
  expect(confirmed).toHaveBeenCalledWith("bad output");
});

it("does not send the form that it stands in", async () => {
  const sent = vi.fn();
  const confirmed = vi.fn();
  render(
    <QueryClientProvider client={new QueryClient()}>
      <form onSubmit={sent}>
        <ConfirmDialog open onOpenChange={() => {}} title="Write" effect={null} confirm="Write" pending={false} error={null} failed="No" onConfirm={confirmed} />
      </form>
    </QueryClientProvider>,
  );
  await userEvent.click(screen.getByRole("button", { name: "Write" }));
  expect(confirmed).toHaveBeenCalledOnce();
  expect(sent).not.toHaveBeenCalled();
});

describe("a dialog with a plan", () => {
  const rollback = (reason: string): PlannedChange => ({ operation: "rollback", kind: "toys", name: "one", to: 1, reason });

  it("cannot be confirmed, and says why, where the change would be refused", async () => {
    const gates = [{ name: "capacity", state: "fail" as const, evidence: "3 CPUs are wanted" }];
    for (const [planned, why] of [
      [() => plannedAs({ needs_approval: true }), "It wants a second person"],
      [() => plannedAs({}, gates), "capacity is closed"],
    ] as const) {
      planned();
      dialog({ planned: rollback });
      const said = await screen.findByText(why, { exact: false, selector: "p[id]" });
      const confirm = screen.getByRole("button", { name: "Roll back to r1" });
      expect(confirm).toBeDisabled();
      expect(confirm).toHaveAccessibleDescription(said.textContent);
      cleanup();
    }
  });

  it("is asked for once whatever reason is typed, and kept only with the one that it wants", async () => {
    const fetched = plannedAs({});
    dialog({ planned: rollback, reason: "required" });
    const keep = screen.getByRole("button", { name: "Keep as a plan" });
    expect(keep).toBeDisabled();
    await userEvent.type(screen.getByRole("textbox"), "bad output");
    expect(keep).toBeEnabled();
    expect(screen.getByRole("button", { name: "Roll back to r1" })).toBeEnabled();
    expect(fetched).toHaveBeenCalledOnce();
  });

  it("is not asked for at each key of a message", async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const fetched = plannedAs({});
    function Typing() {
      const [message, setMessage] = useState("");
      const change: PlannedChange = { operation: "apply", publish: true, message, documents: [] };
      return (
        <>
          <input aria-label="Message" onChange={(event) => setMessage(event.target.value)} />
          <PlanPreview change={change} kept={change} />
          <Button disabled={useRefusal(change) !== null}>Publish</Button>
        </>
      );
    }
    render(
      <QueryClientProvider client={clientOfPlanner()}>
        <Typing />
      </QueryClientProvider>,
    );
    await screen.findByText("nothing to do");
    await userEvent.type(screen.getByLabelText("Message"), "why it is so");
    await act(() => vi.advanceTimersByTimeAsync(1000));
    expect(fetched).toHaveBeenCalledOnce();
  });
});
