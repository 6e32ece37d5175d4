import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { afterEach, expect, it, vi } from "vitest";
import { isSecretPath } from "@/lib/secret-path";
import { WriteSecretDialog } from "./write-dialog";

afterEach(() => vi.unstubAllGlobals());

it("sends the value once, and keeps it nowhere", async () => {
  const client = new QueryClient();
  const fetched = vi.fn<typeof fetch>(() => Promise.resolve(Response.json({ path: "warehouse/password", version: 1 })));
  vi.stubGlobal("fetch", fetched);
  const closed = vi.fn();
  render(
    <QueryClientProvider client={client}>
      <WriteSecretDialog onClose={closed} />
    </QueryClientProvider>,
  );
  const confirm = screen.getByRole("button", { name: "Write secret" });
  expect(confirm).toBeDisabled();
  await userEvent.type(screen.getByRole("textbox", { name: /^Path/ }), "warehouse/password");
  const value = screen.getByLabelText(/^Value/);
  expect(value).toHaveAttribute("type", "password");
  await userEvent.type(value, "hunter-2-hunter");
  await userEvent.click(confirm);
  await waitFor(() => expect(closed).toHaveBeenCalledOnce());
  expect(fetched.mock.calls[0]?.[0]).toBe("/api/v1/secrets/warehouse/password");
  expect(fetched.mock.calls[0]?.[1]?.body).toBe('{"value":"hunter-2-hunter"}');
  expect(value).toHaveValue("");
  const kept = [...client.getQueryCache().getAll().map((query) => query.state.data), ...client.getMutationCache().getAll().map((mutation) => mutation.state.variables)];
  expect(JSON.stringify(kept)).not.toContain("hunter");
});

it("knows paths", () => {
  for (const [path, good] of [["warehouse/password", true], ["a", true], ["a/b/c/d/e/f", true], ["a/b/c/d/e/f/g", false], ["", false], ["a//b", false], ["/a", false], ["a b", false], ["../a", false]] as const) {
    expect(isSecretPath(path), path).toBe(good);
  }
});
