import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { expect, it, vi } from "vitest";
import { isName } from "@/lib/name";
import { NamedDialog } from "./named-dialog";

function dialog(given?: { name: string; display_name: string }) {
  const onConfirm = vi.fn();
  render(
    <QueryClientProvider client={new QueryClient()}>
      <NamedDialog title="New project" effect={<p>Makes it</p>} confirm="Make project" given={given} pending={false} error={null} failed="No" onConfirm={onConfirm} onClose={() => {}} />
    </QueryClientProvider>,
  );
  return onConfirm;
}

it("takes a name that the server takes, and no other", async () => {
  const onConfirm = dialog();
  const name = screen.getByRole("textbox", { name: /^Name/ });
  await userEvent.type(name, "Lab");
  expect(screen.getByRole("alert")).toHaveTextContent("A small letter first");
  expect(screen.getByRole("button", { name: "Make project" })).toBeDisabled();
  await userEvent.clear(name);
  await userEvent.type(name, "lab-2");
  await userEvent.type(screen.getByRole("textbox", { name: /^Display name/ }), " The lab{Enter}");
  expect(onConfirm).toHaveBeenCalledWith({ name: "lab-2", display_name: "The lab" });
});

it("leaves the default one its name", () => {
  dialog({ name: "default", display_name: "" });
  expect(screen.getByRole("textbox", { name: /^Name/ })).toHaveAttribute("readonly");
  expect(screen.getByRole("button", { name: "Make project" })).toBeDisabled();
});

it("knows names", () => {
  for (const [text, good] of [["a", true], ["lab-2", true], ["2lab", false], ["lab-", false], ["Lab", false], ["", false], ["a".repeat(40), true], ["a".repeat(41), false]] as const) expect(isName(text), text).toBe(good);
});
