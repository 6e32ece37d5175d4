// A kind that only the server knows has pages all the same: navigation, list, first document, detail, publish, run.
// The kind is the toy of the test binary; nothing under src names it.
import { expect, type Page, test } from "@playwright/test";
import { expectNoSidewaysScroll, expectRunState, signedIn, testbed, type Watched } from "./session";

const name = "my-toy";
let watched: Watched;
let page: Page;

test.describe.configure({ mode: "serial" });
test.beforeAll(async ({ browser }) => {
  watched = await signedIn(browser, testbed);
  page = watched.page;
});
test.afterAll(() => watched.close());

test("is in the navigation, lists nothing yet, and takes its example as the first document", async () => {
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Toys" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Toys" })).toBeVisible();
  await expect(page.getByText("A thing to play with, whose runs do nothing.")).toBeVisible();
  await expect(page.getByText("No toys yet")).toBeVisible();
  await page.getByRole("link", { name: "New toy" }).first().click();
  await expect(page.getByRole("textbox", { name: "Document of the new toy" })).toContainText("size: 12");
  await page.getByRole("button", { name: "Create" }).click();
  await page.waitForURL(new RegExp(`/toys/${name}\\?tab=yaml`));
});

test("is published by a job, and then stands in the list", async () => {
  await page.getByRole("button", { name: "Publish…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Publish r1" }).click();
  await expect(page.getByRole("complementary", { name: "Jobs started here" })).toContainText("Succeeded");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Toys" }).click();
  const row = page.getByRole("table", { name: "Toys" }).getByRole("row").filter({ hasText: name });
  await expect(row).toContainText("r1");
  await row.getByRole("link", { name, exact: true }).click();
});

test("shows its spec in the words of its schema", async () => {
  await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
  const spec = page.locator("section", { has: page.getByRole("heading", { name: "Spec" }) });
  for (const text of ["color", "red", "size", "12", "Centimetres, 1 to 100.", "wheel", "How many of them."]) {
    await expect(spec.getByText(text, { exact: true })).toBeVisible();
  }
});

test("runs, with a form of the params that it asks for, and shows the log", async () => {
  await page.getByRole("button", { name: "Start run…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("lines").fill("7");
  await dialog.getByRole("button", { name: "Start run" }).click();
  await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
  await expectRunState(page, name, "succeeded", 30_000);
  await expect(page.getByRole("log").locator("[data-line]")).toHaveCount(7);
});

test("fits 390 px", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ["/toys", `/toys/${name}`, `/toys/${name}?tab=revisions`, `/toys/${name}?tab=yaml`, "/toys/new"]) {
    await page.goto(`${testbed.url}${path}`);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expectNoSidewaysScroll(page);
  }
});
