// A page of somebody who is signed in at a server, and what no page may do there: throw, or break its own policy.
// `./x test` starts the servers and passes their addresses and tokens; each file makes a sign-in link of its own.
import { type Browser, expect, type Page } from "@playwright/test";

export interface Server {
  url: string;
  token: string;
}

function fromEnvironment(prefix: string): Server {
  return { url: process.env[`${prefix}_URL`] ?? "", token: process.env[`${prefix}_TOKEN`] ?? "" };
}

/** The shipped binary, with the examples applied. */
export const shipped = fromEnvironment("QD_E2E");
/** The test binary, whose kinds the UI has no code for. */
export const testbed = fromEnvironment("QD_E2E_TESTBED");

export async function signInCode({ url, token }: Server): Promise<string> {
  expect(url && token, "the server's address and token").not.toBe("");
  const reply = await fetch(`${url}/api/v1/auth/links`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
  expect(reply.status).toBe(201);
  return ((await reply.json()) as { code: string }).code;
}

export interface Watched {
  page: Page;
  /** Closes the page; what went wrong on it fails the test. */
  close: () => Promise<void>;
}

export async function watchedPage(browser: Browser): Promise<Watched> {
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && /Content.Security.Policy|Refused to/i.test(message.text())) problems.push(message.text());
  });
  return {
    page,
    close: async () => {
      await page.close();
      expect(problems).toEqual([]);
    },
  };
}

export async function signedIn(browser: Browser, server: Server): Promise<Watched> {
  const watched = await watchedPage(browser);
  await watched.page.goto(`${server.url}/sign-in#code=${await signInCode(server)}`);
  await expect(watched.page.getByRole("heading", { name: "Home" })).toBeVisible();
  return watched;
}

/** The page is that of a run of `name`, whose state its header shows. */
export async function expectRunState(page: Page, name: string, state: string, timeout: number): Promise<void> {
  await expect(page.getByRole("heading", { level: 1, name: new RegExp(`^${name} #\\d+$`) })).toBeVisible();
  await expect(page.locator("main h1 + [data-state-word]")).toHaveAttribute("data-state-word", state, { timeout });
}

/** Starts a run as its dialog offers it, and is then on the run's page. */
export async function startRun(page: Page, server: Server, plural: string, name: string): Promise<void> {
  await page.goto(`${server.url}/${plural}/${name}`);
  await page.getByRole("button", { name: "Start run…" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("heading", { name: `Start a run of ${name}` })).toBeVisible();
  await dialog.getByRole("button", { name: "Start run" }).click();
  await page.waitForURL(/\/runs\/[0-9a-f-]{36}/);
}

/** A page must not scroll sideways. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), page.url()).toBeLessThanOrEqual(0);
}
