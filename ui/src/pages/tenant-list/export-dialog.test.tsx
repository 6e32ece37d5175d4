import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { afterEach, expect, it, vi } from "vitest";
import { ExportDialog } from "./export-dialog";

afterEach(() => vi.unstubAllGlobals());

it("starts an export and offers its archive once it is there", async () => {
  const id = "0193e0a0-0000-7000-8000-000000000001";
  const made = { id, project: null, waiting_for: null, error: null, created_at: "2026-11-20T12:00:00Z", bytes: 2048 };
  let items: object[] = [];
  const fetched = vi.fn<typeof fetch>((_, init) => {
    if (init?.method === "POST") {
      items = [{ ...made, state: "ready" }];
      return Promise.resolve(Response.json({ job: { id }, run: null }, { status: 202 }));
    }
    return Promise.resolve(Response.json({ items, next_cursor: null }));
  });
  vi.stubGlobal("fetch", fetched);
  render(
    <QueryClientProvider client={new QueryClient()}>
      <ExportDialog tenant="acme" onClose={() => {}} />
    </QueryClientProvider>,
  );
  expect(screen.queryByRole("link", { name: "Download" })).toBeNull();
  await userEvent.type(screen.getByRole("textbox", { name: /^Reason/ }), "moving");
  await userEvent.click(screen.getByRole("button", { name: "Make an archive" }));
  const link = await screen.findByRole("link", { name: "Download" });
  expect(link).toHaveAttribute("href", `/api/v1/tenants/acme/exports/${id}/archive`);
  expect(screen.getByText("Ready")).toBeVisible();
  const post = fetched.mock.calls.find(([, init]) => init?.method === "POST");
  expect(post?.[0]).toBe("/api/v1/tenants/acme/export");
  expect(post?.[1]?.body).toBe('{"reason":"moving"}');
});

it("says why an export failed and offers nothing of it", async () => {
  const failed = { id: "e1", state: "failed", project: null, waiting_for: null, error: { code: "scope_deleting", message: "the tenant is being deleted" }, created_at: "2026-11-20T12:00:00Z", bytes: null };
  vi.stubGlobal("fetch", () => Promise.resolve(Response.json({ items: [failed], next_cursor: null })));
  render(
    <QueryClientProvider client={new QueryClient()}>
      <ExportDialog tenant="acme" onClose={() => {}} />
    </QueryClientProvider>,
  );
  expect(await screen.findByText("the tenant is being deleted")).toBeVisible();
  expect(screen.queryByRole("link", { name: "Download" })).toBeNull();
});
