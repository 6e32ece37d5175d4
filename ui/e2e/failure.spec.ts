// A run that fails says in the browser where: the stage, the batch, the item, the traceback. One that was told to go on
// says what that cost. The runs are those of examples/fails.
import { expect, type Page, test } from "@playwright/test";
import { expectRunState, shipped, signedIn, startRun, type Watched } from "./session";

let watched: Watched;
let page: Page;

test.beforeAll(async ({ browser }) => {
  watched = await signedIn(browser, shipped);
  page = watched.page;
});
test.afterAll(() => watched.close());

/** What stands beside a label among the facts of a page (its header comes first) or of a panel. */
const fact = (within: Page | ReturnType<Page["locator"]>, label: string) =>
  within.locator("dl > div", { has: page.getByText(label, { exact: true }) }).locator("dd").first();

test("shows the stage, the batch, the item and the traceback of a failure", async () => {
  await startRun(page, shipped, "pipelines", "curate-broken");
  await expectRunState(page, "curate-broken", "failed", 150_000);
  const failure = page.getByRole("region", { name: "Failure" });
  await expect(failure.getByRole("alert")).toContainText("ValueError: invoice 1027");
  await expect(fact(failure, "Stage")).toHaveText("Total");
  // Invoice 1027 is the 28th of 40, in batches of 4: the last of the seventh.
  await expect(fact(failure, "Batch")).toContainText(/^7 *4 items/);
  await expect(fact(failure, "Item")).toContainText(/^index 3\b/);
  await expect(failure.getByText("1.181,27").first()).toBeVisible();
  const traceback = failure.getByLabel("Traceback", { exact: true });
  await expect(traceback).toContainText("Traceback (most recent call last)");
  await expect(traceback).toContainText("a decimal comma?");
  await expect(page.getByRole("list", { name: "Stages" }).getByRole("listitem").filter({ hasText: "Total" })).toContainText("Failed");

  await page.goto(`${shipped.url}/`);
  await expect(page.getByRole("link", { name: /curate-broken/ }).first()).toBeVisible();
});

test("counts what a run that goes on has dropped, and says why", async () => {
  await startRun(page, shipped, "pipelines", "curate-tolerant");
  await expectRunState(page, "curate-tolerant", "succeeded", 150_000);
  await expect(fact(page, "Dropped")).toContainText("4");
  await expect(fact(page, "Items out")).toHaveText("36");
  await expect(page.getByRole("region", { name: "Failure" })).toHaveCount(0);
  await fact(page, "Dropped").getByRole("link", { name: "why" }).click();
  await expect(page.getByText("Dropped 4").first()).toBeVisible();
  await expect(page.getByText(/^in total: ValueError: invoice 1027/).first()).toBeVisible();
});
