// The main job, as a person does it in the browser: sign in by link, open the pipeline, start a run, see its log
// arrive live, stop another run, look at a diff. The pipeline is QD_E2E_PIPELINE (default `curate`); it must be
// published, with at least two revisions for the diff.
import { expect, type Page, test } from "@playwright/test";

const code = process.env.QD_E2E_CODE ?? "";
const pipeline = process.env.QD_E2E_PIPELINE ?? "curate";
const toStop = process.env.QD_E2E_STOP_PIPELINE ?? pipeline;

test.describe.configure({ mode: "serial" });

let page: Page;
const problems: string[] = [];

test.beforeAll(async ({ browser }) => {
  expect(code, "QD_E2E_CODE is the one-time code to sign in with").not.toBe("");
  page = await browser.newPage();
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && /Content.Security.Policy|Refused to/i.test(message.text())) problems.push(message.text());
  });
});
test.afterAll(async () => {
  await page.close();
  expect(problems).toEqual([]);
});

/** The state in the header of a run's page: the first on it. */
async function expectRunState(state: string, timeout: number): Promise<void> {
  await expect(page.locator("main [data-state-word]").first()).toHaveAttribute("data-state-word", state, { timeout });
}

async function startRun(name: string): Promise<void> {
  await page.goto(`/pipelines/${name}`);
  await page.getByRole("button", { name: "Start run…" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("heading", { name: `Start a run of ${name}` })).toBeVisible();
  await dialog.getByRole("button", { name: "Start run" }).click();
  await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
}

test("signs in by a link whose code leaves no trace in the address or the history", async () => {
  await page.goto(`/sign-in#code=${encodeURIComponent(code)}`);
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
  await startRun(pipeline);
  await page.getByRole("navigation", { name: "Sections" }).getByRole("link", { name: "Logs" }).click();
  const log = page.getByRole("log");
  await expect(log.locator("[data-line]").first()).toBeVisible({ timeout: 60_000 });
  const lastLine = async () => Number(await log.locator("[data-line]").last().getAttribute("data-line"));
  const before = await lastLine();
  const asked = logRequests.length;
  await expect.poll(lastLine, { timeout: 60_000 }).toBeGreaterThan(before);
  // The new lines came by the stream: the page asked for none of them.
  expect(logRequests.length).toBe(asked);
  await expectRunState("succeeded", 150_000);
  await page.getByRole("navigation", { name: "Sections" }).getByRole("link", { name: /Results/ }).click();
  await expect(page.getByRole("link", { name: "Download" }).first()).toBeVisible();
});

test("stops another run", async () => {
  await startRun(toStop);
  await expectRunState("running", 60_000);
  await page.getByRole("button", { name: "Stop…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox").fill("end-to-end test");
  await dialog.getByRole("button", { name: "Stop run" }).click();
  await expect(page.getByRole("complementary", { name: "Jobs started here" })).toBeVisible();
  await expectRunState("stopped", 30_000);
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
    expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), path).toBeLessThanOrEqual(0);
  }
  await page.getByRole("button", { name: "Open navigation" }).click();
  await page.getByRole("dialog").getByRole("link", { name: "Runs" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Runs" })).toBeVisible();
});
