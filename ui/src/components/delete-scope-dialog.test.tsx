import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { afterEach, expect, it, vi } from "vitest";
import { DeleteScopeDialog } from "./delete-scope-dialog";

afterEach(() => vi.unstubAllGlobals());

const step = { changes: [{ op: "remove", pointer: "", before: { resources: 12, log_bytes: 0 } }] };
const preview = { plan: { steps: [step], gates: [] }, hash: "sha256:0", needs_approval: false };

it("says what goes, and deletes nothing before its name and a reason are typed", async () => {
  const fetched = vi.fn<(url: string, init?: RequestInit) => Promise<Response>>((url) => Promise.resolve(Response.json(url.includes("dry_run") ? preview : { job: { id: "j1" }, run: null })));
  vi.stubGlobal("fetch", fetched);
  const started = vi.fn();
  render(
    <QueryClientProvider client={new QueryClient()}>
      <DeleteScopeDialog of="projects" name="lab" onStarted={started} onClose={() => {}} />
    </QueryClientProvider>,
  );
  const confirm = screen.getByRole("button", { name: "Delete project" });
  await userEvent.type(screen.getByRole("textbox", { name: /^Reason/ }), "done");
  expect(await screen.findByText("12")).toBeVisible();
  expect(confirm).toBeDisabled();
  await userEvent.type(screen.getByRole("textbox", { name: "Type lab to confirm" }), "lab");
  await userEvent.click(confirm);
  await waitFor(() => expect(started).toHaveBeenCalledOnce());
  expect(fetched.mock.calls[0]?.[0]).toBe("/api/v1/projects/lab/delete?dry_run=true");
  expect(fetched.mock.calls[1]?.[0]).toBe("/api/v1/projects/lab/delete");
  expect(fetched.mock.calls[1]?.[1]?.body).toBe('{"confirm":"lab","reason":"done"}');
});
