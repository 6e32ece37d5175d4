// Access to single things, in the browser: a pipeline is shared with somebody who holds no role, who then sees it and nothing else;
// who may do what, and why; what a policy would change before it is published; a project that wants reviews, and how much would go
// with it.
import { expect, type Page, test } from "@playwright/test";
import { expectNoSidewaysScroll, shipped, signedIn, signInCode, type Watched, watchedPage } from "./session";

const guest = "sam";
const shared = "pipelines/curate";
let owner: Watched;
let other: Watched;
let token = "";
let page: Page;

test.describe.configure({ mode: "serial" });

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers = { authorization: `Bearer ${shipped.token}`, "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
  const reply = await fetch(`${shipped.url}/api/v1${path}`, { method, headers, body: JSON.stringify(body) });
  expect(reply.ok, `${method} ${path}: ${reply.status}`).toBe(true);
  return (await reply.json()) as T;
}

test.beforeAll(async ({ browser }) => {
  await api("POST", "/users", { name: guest, service: true });
  ({ token } = await api<{ token: string }>("POST", `/users/${guest}/tokens`, { label: "test", expires_in_s: 3600 }));
  owner = await signedIn(browser, shipped);
  other = await watchedPage(browser);
  page = owner.page;
});
test.afterAll(async () => {
  await owner.close();
  await other.close();
});

test("a pipeline is shared with somebody, who sees it, may run it, and sees nothing else", async () => {
  await page.goto(`/${shared}?tab=sharing`);
  await expect(page.getByText("Shared with nobody")).toBeVisible();
  await page.getByRole("button", { name: "Share…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name of the person or service").fill(guest);
  await dialog.getByLabel("As").selectOption("operator");
  await dialog.getByRole("button", { name: "Share", exact: true }).click();
  await expect(page.getByRole("list", { name: "Shared with" }).getByRole("listitem").filter({ hasText: guest })).toContainText("operator");

  await other.page.goto(`/sign-in#code=${await signInCode({ url: shipped.url, token })}`);
  await expect(other.page.getByRole("heading", { name: "Home" })).toBeVisible();
  await other.page.goto("/pipelines");
  const table = other.page.getByRole("table", { name: "Pipelines" });
  await expect(table.getByRole("link", { name: "curate", exact: true })).toBeVisible();
  await expect(table.locator("tbody tr")).toHaveCount(1);
  await expect(other.page.getByRole("link", { name: "New pipeline" })).toHaveCount(0);
  const main = other.page.getByRole("navigation", { name: "Main" });
  await expect(main.getByRole("link", { name: "Runs" })).toBeVisible();
  for (const room of ["Secrets", "Connections", "Members"]) await expect(main.getByRole("link", { name: room })).toHaveCount(0);
  await table.getByRole("link", { name: "curate", exact: true }).click();
  await expect(other.page.getByRole("button", { name: "Start run…" })).toBeVisible();
  await expect(other.page.getByRole("link", { name: "Edit", exact: true })).toHaveCount(0);
});

test("who may do something is answered with the reason, of everybody and of one", async () => {
  const ask = page.getByRole("button", { name: "Ask", exact: true });
  await page.getByRole("combobox", { name: "Action" }).selectOption("pipelines.run");
  await ask.click();
  const who = page.getByRole("list", { name: "Who may do pipelines.run" }).getByRole("listitem");
  await expect(who.filter({ hasText: guest })).toContainText(`It is shared with ${guest} as operator`);
  await expect(who.filter({ hasText: "owner" })).toContainText("The role PLATFORM_ADMIN, held everywhere");

  await page.goto("/roles");
  await page.getByRole("combobox", { name: "Action" }).selectOption("pipelines.publish");
  await page.getByLabel(/^To/).fill(shared);
  await page.getByLabel(/^Who/).fill(guest);
  await ask.click();
  const answer = page.getByRole("status").filter({ hasText: "pipelines.publish" });
  await expect(answer).toContainText(`${guest} may not pipelines.publish on ${shared}`);
  await expect(answer).toContainText("Roles that would: PLATFORM_ADMIN");
});

test("a policy says before it is published what it would change", async () => {
  const cedar = `forbid (principal == User::"${guest}", action == Action::"pipelines.run", resource);`;
  const name = "quiet";
  await api("POST", "/apply", { documents: [{ apiVersion: "quarterdeck/v1", kind: "Policy", metadata: { name }, spec: { description: "Lets it rest.", cedar } }] });
  await page.goto(`/policies/${name}?tab=yaml`);
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  const changed = page.getByRole("list", { name: "What would change" }).getByRole("listitem");
  await expect(changed).toHaveCount(1);
  await expect(changed).toContainText(`No longer${guest}${shared}`);
  await expect(changed).toContainText(`statement 1 of policies/${name} forbids it`, { ignoreCase: true });
});

test("what is shared no longer is gone", async () => {
  await page.goto(`/${shared}?tab=sharing`);
  await page.getByRole("button", { name: `Share it with ${guest} no longer` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await expect(page.getByText("Shared with nobody")).toBeVisible();
  await other.page.goto("/");
  await expect(other.page.getByRole("heading", { name: "You hold no role yet" })).toBeVisible();
});

test("a project is set to want reviews, and says how much would go with it", async () => {
  await api("POST", "/projects", { name: "trial" });
  await page.goto("/projects");
  const row = page.getByRole("table", { name: "Projects" }).getByRole("row").filter({ hasText: "trial" });
  await expect(row.getByRole("cell").nth(1)).toHaveText("None");
  await row.getByRole("button", { name: "Review in trial" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Review before publishing").selectOption("required");
  await expect(dialog.getByRole("button", { name: "Set review" })).toBeDisabled();
  await dialog.getByLabel(/^Reason/).fill("customers depend on it");
  await dialog.getByRole("button", { name: "Set review" }).click();
  await expect(row.getByRole("cell").nth(1)).toHaveText("Required");

  await row.getByRole("button", { name: "Delete trial" }).click();
  await expect(dialog.getByText("Resources", { exact: true })).toBeVisible();
  await dialog.getByLabel("Type trial to confirm").fill("trial");
  await dialog.getByLabel(/^Reason/).fill("a test");
  await dialog.getByRole("button", { name: "Delete project" }).click();
  await expect(page.getByRole("complementary", { name: "Jobs started here" })).toContainText("Succeeded");
  await expect(row).toHaveCount(0);
});

test("fits 390 px", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of [`/${shared}?tab=sharing`, "/roles", "/projects", "/policies/quiet?tab=yaml"]) {
    await page.goto(path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expectNoSidewaysScroll(page);
  }
});
