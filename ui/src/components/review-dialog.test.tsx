import { render, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { afterEach, expect, it, vi } from "vitest";
import type { RevisionSummary } from "@/api/types";
import { ReviewDialog, type ReviewVerb } from "./review-dialog";

afterEach(() => vi.unstubAllGlobals());

function dialog(verb: ReviewVerb) {
  const fetched = vi.fn<typeof fetch>(() => Promise.resolve(Response.json({})));
  vi.stubGlobal("fetch", fetched);
  const closed = vi.fn();
  const revision = { number: 4, state: "in_review" } as RevisionSummary;
  const client = new QueryClient();
  const of = (hash: string) => (
    <QueryClientProvider client={client}>
      <ReviewDialog plural="pipelines" review={{ name: "curate", revision, plan: null, hash }} verb={verb} onClose={closed} />
    </QueryClientProvider>
  );
  const { rerender } = render(of("sha256:ab"));
  const sent = () => [fetched.mock.calls[0]?.[0], fetched.mock.calls[0]?.[1]?.body];
  return { closed, sent, plannedAnew: (hash: string) => rerender(of(hash)) };
}

it("gives the approval to the hash that it shows", async () => {
  const { closed, sent } = dialog("approve");
  expect(screen.getByText("sha256:ab")).toBeVisible();
  await userEvent.click(screen.getByRole("button", { name: "Approve" }));
  await waitFor(() => expect(closed).toHaveBeenCalledOnce());
  expect(sent()).toEqual(["/api/v1/pipelines/curate/revisions/4/approve", '{"hash":"sha256:ab","reason":""}']);
});

it("gives it to what was there when it opened, whatever the page learns meanwhile", async () => {
  const { sent, plannedAnew } = dialog("approve");
  plannedAnew("sha256:cd");
  expect(screen.queryByText("sha256:cd")).toBeNull();
  await userEvent.click(screen.getByRole("button", { name: "Approve" }));
  await waitFor(() => expect(sent()[1]).toBe('{"hash":"sha256:ab","reason":""}'));
});

it.each([
  ["reject", "Reject"],
  ["withdraw", "Withdraw"],
] as const)("does not %s without a reason", async (verb, name) => {
  const { closed, sent } = dialog(verb);
  const confirm = screen.getByRole("button", { name });
  expect(confirm).toBeDisabled();
  await userEvent.type(screen.getByRole("textbox", { name: /^Reason/ }), "not yet");
  await userEvent.click(confirm);
  await waitFor(() => expect(closed).toHaveBeenCalledOnce());
  expect(sent()).toEqual([`/api/v1/pipelines/curate/revisions/4/${verb}`, '{"reason":"not yet"}']);
});
