// A change in four hands, in the browser: one looks at the plan of a publish and keeps it, another approves it by its hash, the first
// applies it and sees its job to the end, live.
import { expect, type Page, test } from "@playwright/test";
import { expectNoSidewaysScroll, signedIn, testbed, type Watched } from "./session";

const name = "planned";
let owner: Watched;
let second: Watched;
let page: Page;
let plan = "";

test.describe.configure({ mode: "serial" });

async function api<T>(method: string, path: string, body: unknown, token = testbed.token): Promise<T> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
  const reply = await fetch(`${testbed.url}/api/v1${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  expect(reply.ok, `${method} ${path}: ${reply.status}`).toBe(true);
  return (await reply.json()) as T;
}

const toy = (size: number) => ({ documents: [{ apiVersion: "quarterdeck/v1", kind: "Toy", metadata: { name }, spec: { size } }] });

test.beforeAll(async ({ browser }) => {
  const { job } = await api<{ job: { id: string } }>("POST", "/apply?publish=true", toy(12));
  await expect.poll(async () => (await api<{ state: string }>("GET", `/jobs/${job.id}`, undefined)).state).toBe("succeeded");
  await api("POST", "/apply", toy(20));
  const { token } = await api<{ token: string }>("POST", "/auth/tokens", { name: "second" });
  owner = await signedIn(browser, testbed);
  second = await signedIn(browser, { url: testbed.url, token });
  page = owner.page;
});
test.afterAll(async () => {
  await owner.close();
  await second.close();
});

test("the dialog of a publish shows its plan, which can be kept", async () => {
  await page.goto(`${testbed.url}/toys/${name}?tab=revisions&rev=2`);
  await page.getByRole("button", { name: /^Publish r2/ }).click();
  const dialog = page.getByRole("dialog");
  const shown = dialog.getByRole("region", { name: "Plan" });
  await expect(shown).toContainText("2 steps, medium risk, 1 gate passes");
  await shown.getByRole("button", { name: /^Plan/ }).click();
  await expect(shown).toContainText("Publish revision 2");
  await expect(shown).toContainText("toys/planned published revision");
  await shown.getByRole("button", { name: "Keep as a plan" }).click();
  await page.waitForURL(/\/plans\/[0-9a-f-]{36}/);
  plan = page.url();
  await expect(page.getByRole("heading", { level: 1, name: "revision.publish toys/planned" })).toBeVisible();
  await expect(page.getByTestId("explain")).toContainText("It is open and wants no approval");
  await expect(page.getByRole("button", { name: "Approve…" })).toBeDisabled();
});

test("somebody else finds it in the list and approves its hash", async () => {
  await second.page.goto(`${testbed.url}/plans?state=open`);
  await second.page.getByRole("table", { name: "Plans" }).getByRole("link", { name: /^revision\.publish/ }).first().click();
  await second.page.waitForURL(plan);
  await second.page.getByRole("button", { name: "Approve…" }).click();
  const dialog = second.page.getByRole("dialog");
  await expect(dialog).toContainText(/sha256:[0-9a-f]{64}/);
  await dialog.getByRole("textbox").fill("looks right");
  await dialog.getByRole("button", { name: "Approve", exact: true }).click();
  await expect(second.page.locator("main h1 + [data-state-word]")).toHaveAttribute("data-state-word", "approved");
});

test("its author sees that at once, applies it, and follows the job to its end", async () => {
  await expect(page.locator("main h1 + [data-state-word]")).toHaveAttribute("data-state-word", "approved");
  await expect(page.getByTestId("explain")).toContainText("second approved it");
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.getByRole("button", { name: "Apply…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Apply", exact: true }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]{36}/);
  await expect(page.locator("main h1 + [data-state-word]")).toHaveAttribute("data-state-word", "succeeded");
  await expect(page.locator("[data-step=publish] [data-state-word]")).toHaveAttribute("data-state-word", "succeeded");
  await expect(page.getByTestId("explain")).toContainText("all 2 steps took effect");
  const locks = page.locator("section", { has: page.getByRole("heading", { name: "Locks", exact: true }) });
  await expect(locks).toContainText("free");
  await expect(page.locator("section", { has: page.getByRole("heading", { name: "Events", exact: true }) })).toContainText("succeeded");
  await page.locator("[data-step=publish]").getByRole("button", { name: /change/ }).click();
  await expect(page.locator("[data-step=publish]")).toContainText("/spec/size");
  await page.getByRole("link", { name: /^plan …/ }).click();
  await page.waitForURL(plan);
  await expect(page.locator("main h1 + [data-state-word]")).toHaveAttribute("data-state-word", "applied");
  // Live, by the stream: nothing was asked for over and over.
  const jobs = asked.filter((url) => /\/api\/v1\/jobs\/[0-9a-f-]{36}$/.test(url));
  expect(jobs.length, jobs.join("\n")).toBeLessThan(20);
});

test("fits 390 px", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  const job = await page.getByRole("link", { name: /^…/ }).first().getAttribute("href");
  for (const path of [plan, `${testbed.url}/plans`, `${testbed.url}${job}`]) {
    await page.goto(path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expectNoSidewaysScroll(page);
  }
});
