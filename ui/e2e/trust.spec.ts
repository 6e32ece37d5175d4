// What is kept and what can be proved: a secret goes in by the form of a connection and comes out nowhere, the connection is
// tested, and the audit has it all, verified.
import { expect, type Page, test } from "@playwright/test";
import { expectNoSidewaysScroll, shipped, signedIn, type Watched } from "./session";

const name = "itself";
const secret = `kept-${crypto.randomUUID()}`;
let watched: Watched;
let page: Page;
const seen: string[] = [];

test.describe.configure({ mode: "serial" });
test.beforeAll(async ({ browser }) => {
  watched = await signedIn(browser, shipped);
  page = watched.page;
  page.on("response", (response) => {
    if (response.url().includes("/api/") && !response.url().includes("/stream")) void response.text().then((text) => seen.push(text), () => undefined);
  });
});
test.afterAll(() => watched.close());

test("a connection is made by the form of its type, with a secret that is written there", async () => {
  await page.goto("/connections/new");
  await page.getByLabel(/^Name/).fill(name);
  await page.getByLabel(/^Type/).selectOption("postgres");
  await expect(page.getByLabel("sslmode")).toBeVisible();
  await page.getByLabel(/^Type/).selectOption("http");
  await expect(page.getByLabel("sslmode")).toHaveCount(0);
  await page.getByLabel("address").fill(`${shipped.url}/health`);
  await page.getByRole("button", { name: "Write a secret for token" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByLabel(/^Path/)).toHaveValue(`${name}/token`);
  await dialog.getByLabel(/^Value/).fill(secret);
  await dialog.getByRole("button", { name: "Write secret" }).click();
  await expect(page.getByLabel("token", { exact: true })).toHaveValue(`secret://${name}/token`);
  await page.getByRole("button", { name: "Create and publish" }).click();
  await page.waitForURL(new RegExp(`/connections/${name}$`));
  await expect(page.getByRole("complementary", { name: "Jobs started here" })).toContainText("Succeeded");
});

test("it is tested, and says what that came to and when", async () => {
  await expect(page.getByText("Never tested")).toBeVisible();
  await page.getByRole("button", { name: "Test", exact: true }).click();
  const last = page.getByTestId("last-test");
  await expect(last).toContainText("Works");
  await expect(last).toContainText("it answers 200 OK");
  await page.goto("/connections");
  await expect(page.getByRole("table", { name: "Connections" }).getByRole("row").filter({ hasText: name })).toContainText("Works");
});

test("the secret has its path, its version and who uses it, and no value", async () => {
  await page.goto("/secrets");
  const row = page.getByRole("table", { name: "Secrets" }).getByRole("row").filter({ hasText: `secret://${name}/token` });
  await expect(row.getByRole("link", { name })).toBeVisible();
  await row.getByRole("button", { name: `Replace ${name}/token` }).click();
  await page.getByRole("dialog").getByLabel(/^Value/).fill(`${secret}-2`);
  await page.getByRole("dialog").getByRole("button", { name: "Write version 2" }).click();
  await expect(row.getByRole("cell").nth(1)).toHaveText("2");
  await row.getByRole("button", { name: `Delete ${name}/token` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel(/^Reason/).fill("a test");
  await dialog.getByRole("button", { name: "Delete secret" }).click();
  await expect(dialog.getByRole("alert")).toContainText("secret_in_use");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  expect(await page.content()).not.toContain(secret);
});

test("the audit finds it by action and outcome, shows what changed, and is verified", async () => {
  await page.goto("/audit");
  await expect(page.getByTestId("verify-badge")).toContainText(/Verified up to \d/);
  await page.getByLabel("Action").fill("connections.test");
  await page.waitForURL(/action=connections\.test/);
  await expect(page.getByRole("link", { name, exact: true }).first()).toBeVisible();
  await page.getByRole("button", { name: "Details of connections.test" }).first().click();
  await expect(page.getByText(/record \d+ of its chain/)).toBeVisible();
  await page.getByRole("link", { name: "request", exact: true }).click();
  await page.waitForURL(/request=/);
  await expect(page.getByLabel("Id or hash")).not.toHaveValue("");
  await page.goto("/audit?outcome=denied&reach=tenant");
  await expect(page.getByText(/^(No record matches|\d+ records?.*)$/).first()).toBeVisible();
  await page.getByTestId("verify-badge").click();
  const dialog = page.getByRole("dialog");
  await expect(dialog).toContainText("are as they were sealed");
  await expect(dialog).toContainText("Last sealed record");
  await dialog.getByRole("button", { name: "Verify again" }).click();
  await expect(dialog.getByRole("button", { name: "Verify again" })).toBeEnabled();
  await page.keyboard.press("Escape");
});

test("no answer of the server had the secret", () => {
  expect(seen.length).toBeGreaterThan(20);
  expect(seen.filter((text) => text.includes(secret))).toEqual([]);
});

test("fits 390 px", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ["/audit", "/secrets", "/connections", `/connections/${name}`, `/connections/${name}?tab=form`]) {
    await page.goto(path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expectNoSidewaysScroll(page);
  }
});
