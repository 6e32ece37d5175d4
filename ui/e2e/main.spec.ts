// The main job, as a person does it in the browser: sign in by link, open the pipeline, start a run, see its log
// arrive live, stop another run, look at a diff. The pipeline is examples/curate, published twice for the diff.
import { expect, type Page, test } from "@playwright/test";
import { expectNoSidewaysScroll, expectRunState, shipped, signInCode, startRun, type Watched, watchedPage } from "./session";

const pipeline = "curate";

test.describe.configure({ mode: "serial" });

let watched: Watched;
let page: Page;

test.beforeAll(async ({ browser }) => {
  watched = await watchedPage(browser);
  page = watched.page;
});
test.afterAll(() => watched.close());

test("signs in by a link whose code leaves no trace in the address or the history", async () => {
  const code = await signInCode(shipped);
  await page.goto(`/sign-in#code=${code}`);
  await expect(page.getByRole("heading", { name: "Home" })).toBeVisible();
  expect(page.url()).not.toContain("code");
  await expect(page.locator("[data-live=live]")).toBeVisible();
  await page.goBack().catch(() => null);
  expect(page.url()).not.toContain(code);
});

test("opens the pipeline from the list", async () => {
  await page.goto("/");
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Pipelines" }).click();
  await page.getByRole("table", { name: "Pipelines" }).getByRole("link", { name: pipeline, exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: pipeline })).toBeVisible();
  await expect(page.getByRole("list", { name: "Stages" }).getByRole("listitem").first()).toBeVisible();
});

test("starts a run and sees its log arrive live, until it has succeeded", async () => {
  const logRequests: string[] = [];
  page.on("request", (request) => {
    if (/\/runs\/[^/]+\/logs/.test(request.url())) logRequests.push(request.url());
  });
  await startRun(page, shipped, "pipelines", pipeline);
  const sections = page.getByRole("navigation", { name: "Sections" });
  await sections.getByRole("link", { name: "Logs" }).click();
  await expect(sections.locator("[aria-current]")).toHaveText("Logs");
  const log = page.getByRole("log");
  await expect(log.locator("[data-line]").first()).toBeVisible({ timeout: 60_000 });
  const lastLine = async () => Number(await log.locator("[data-line]").last().getAttribute("data-line"));
  const before = await lastLine();
  const asked = logRequests.length;
  await expect.poll(lastLine, { timeout: 60_000 }).toBeGreaterThan(before);
  // The new lines came by the stream: the page asked for none of them.
  expect(logRequests.length).toBe(asked);
  await expectRunState(page, pipeline, "succeeded", 150_000);
  await sections.getByRole("link", { name: /Results/ }).click();
  await expect(page.getByRole("link", { name: "Download" }).first()).toBeVisible();
});

test("stops another run", async () => {
  await startRun(page, shipped, "pipelines", pipeline);
  await expectRunState(page, pipeline, "running", 60_000);
  await page.getByRole("button", { name: "Stop…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox").fill("end-to-end test");
  await dialog.getByRole("button", { name: "Stop run" }).click();
  await expect(page.getByRole("complementary", { name: "Jobs started here" })).toBeVisible();
  await expectRunState(page, pipeline, "stopped", 30_000);
  await expect(page.getByRole("button", { name: "Retry…" })).toBeVisible();
});

test("looks at what a revision changed, side by side and by pointer", async () => {
  await page.goto(`/pipelines/${pipeline}?tab=revisions`);
  await expect(page.getByTestId("text-diff").getByRole("textbox")).toHaveCount(2);
  await expect(page.getByRole("heading", { name: /^r\d+ → r\d+$/ })).toBeVisible();
  await expect(page.getByRole("heading", { name: "Changes" })).toBeVisible();
  await expect(page.locator("code", { hasText: /^\// }).first()).toBeVisible();
});

test("works at 390 px: no page is wider than the screen, and the navigation is a drawer", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ["/", "/pipelines", `/pipelines/${pipeline}`, "/runs", "/jobs", "/events", "/audit", "/engines"]) {
    await page.goto(path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expectNoSidewaysScroll(page);
  }
  await page.getByRole("button", { name: "Open navigation" }).click();
  await page.getByRole("dialog").getByRole("link", { name: "Runs" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Runs" })).toBeVisible();
});
