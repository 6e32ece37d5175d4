// People in the browser: an administrator invites somebody, who chooses a password and signs in; grants him a role, which
// decides what he sees, and takes it again. A token that is made and used, a project that is made and worked in.
import { expect, type Page, test } from "@playwright/test";
import { expectNoSidewaysScroll, shipped, signedIn, type Watched, watchedPage } from "./session";

const name = "vera";
const password = "a lantern on the quarterdeck";
let owner: Watched;
let viewer: Watched;
let page: Page;

test.describe.configure({ mode: "serial" });
test.beforeAll(async ({ browser }) => {
  owner = await signedIn(browser, shipped);
  viewer = await watchedPage(browser);
  page = owner.page;
});
test.afterAll(async () => {
  await owner.close();
  await viewer.close();
});

const main = (of: Page) => of.getByRole("navigation", { name: "Main" });
const call = (path: string, token: string, init: RequestInit = {}) =>
  fetch(`${shipped.url}/api/v1${path}`, { ...init, headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...init.headers } });

test("an invitation is shown once, and its holder chooses a password and signs in", async () => {
  await page.goto("/users");
  await page.getByRole("button", { name: "New person or service…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name (it signs in").fill(name);
  await dialog.getByRole("button", { name: "Make person" }).click();
  const link = (await dialog.getByRole("status", { name: "invitation link" }).textContent()) ?? "";
  expect(link).toContain("#invitation=");
  await dialog.getByRole("button", { name: "Done" }).click();
  await expect(page.getByRole("table", { name: "Users and services" }).getByRole("row").filter({ hasText: name })).toContainText("No password yet");

  await viewer.page.goto(`/sign-in${link.slice(link.indexOf("#"))}`);
  await viewer.page.getByLabel(/^Password/).fill(password);
  await viewer.page.getByLabel("The same again").fill(password);
  await viewer.page.getByRole("button", { name: "Choose and sign in" }).click();
  await expect(viewer.page.getByRole("heading", { name: "You hold no role yet" })).toBeVisible();
});

test("a role that is granted decides what he sees", async () => {
  await page.goto("/members");
  await page.getByRole("button", { name: "Grant role…" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name of the person or service").fill(name);
  await dialog.getByLabel(/^Role/).selectOption("viewer");
  await dialog.getByRole("button", { name: "Grant role" }).click();
  await expect(page.getByRole("table", { name: "Members of default" }).getByRole("row").filter({ hasText: name })).toContainText("viewer");

  await viewer.page.goto("/sign-in");
  await viewer.page.getByLabel("Name", { exact: true }).fill(name);
  await viewer.page.getByLabel("Password").fill(password);
  await viewer.page.getByRole("button", { name: "Sign in" }).click();
  await expect(viewer.page.getByRole("heading", { level: 1, name: "Home" })).toBeVisible();
  await expect(main(page).getByRole("link", { name: "Tenants" })).toBeVisible();
  await expect(main(viewer.page).getByRole("link", { name: "Pipelines" })).toBeVisible();
  for (const room of ["Tenants", "Users and services"]) await expect(main(viewer.page).getByRole("link", { name: room })).toHaveCount(0);
});

test("what he may not do is not offered, and what he may not see says why", async () => {
  for (const [path, button] of [
    ["/connections", "New connection"],
    ["/members", "Grant role…"],
    ["/secrets", "Write a secret…"],
    ["/pipelines/curate", "Start run…"],
  ] as const) {
    const role = button === "New connection" ? "link" : "button";
    await page.goto(path);
    await expect(page.getByRole(role, { name: button }).first()).toBeVisible();
    await viewer.page.goto(path);
    await expect(viewer.page.getByRole("heading", { level: 1 })).toBeVisible();
    await expect(viewer.page.getByRole("table").or(viewer.page.getByRole("list", { name: "Stages" })).or(viewer.page.getByText(/^No .* yet$/)).first()).toBeVisible();
    await expect(viewer.page.getByRole(role, { name: button })).toHaveCount(0);
  }
  await viewer.page.goto("/users");
  await expect(viewer.page.getByText("This page wants the right users.list on the platform")).toBeVisible();
  await viewer.page.keyboard.press("Control+k");
  await viewer.page.getByPlaceholder(/^Search names/).fill("tenants");
  await expect(viewer.page.getByText("Nothing has this name or id.")).toBeVisible();
});

test("a role that is taken takes everything", async () => {
  await page.goto("/members");
  await page.getByRole("button", { name: `Revoke viewer from ${name} in all of the tenant` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke role" }).click();
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(page.getByRole("button", { name: new RegExp(`from ${name} `) })).toHaveCount(0);
  await viewer.page.goto("/");
  await expect(viewer.page.getByRole("heading", { name: "You hold no role yet" })).toBeVisible();
});

test("a token is shown once, works within its limits, and no longer once it is revoked", async () => {
  await page.goto("/profile");
  await page.getByRole("button", { name: "New token…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("What it is for").fill("a test");
  await dialog.getByLabel(/^What it may do/).selectOption("read");
  await dialog.getByRole("button", { name: "Make token" }).click();
  const token = (await dialog.getByRole("status", { name: "token" }).textContent()) ?? "";
  await dialog.getByRole("button", { name: "Done" }).click();
  expect((await call("/secrets", token)).status).toBe(200);
  expect((await call("/secrets/a/b", token, { method: "PUT", body: '{"value":"x"}' })).status).toBe(403);
  expect(await page.content()).not.toContain(token);

  await page.getByRole("button", { name: "Revoke a test" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke token" }).click();
  await expect(page.getByRole("button", { name: "Revoke a test" })).toHaveCount(0);
  expect((await call("/secrets", token)).status).toBe(401);
});

test("a project is made and worked in: the address keeps it, and its own events come", async () => {
  await page.goto("/projects");
  await page.getByRole("button", { name: "New project…" }).click();
  await page.getByRole("dialog").getByLabel(/^Name/).fill("lab");
  await page.getByRole("dialog").getByRole("button", { name: "Make project" }).click();
  await expect(page.getByRole("table", { name: "Projects" })).toContainText("lab");
  await page.getByRole("button", { name: /project default: work elsewhere$/ }).click();
  await page.getByRole("dialog").getByRole("option", { name: "default / lab" }).click();
  await page.waitForURL(/\/t\/default\/p\/lab\/$/);
  await expect(page.locator("[data-live=live]")).toBeVisible();
  await main(page).getByRole("link", { name: "Connections" }).click();
  await page.waitForURL(/\/t\/default\/p\/lab\/connections$/);
  await expect(page.getByText("No connections yet")).toBeVisible();

  const documents = [{ apiVersion: "quarterdeck/v1", kind: "Connection", metadata: { name: "of-the-lab" }, spec: { type: "http", address: "http://127.0.0.1:9/" } }];
  const made = await call("/apply", shipped.token, { method: "POST", body: JSON.stringify({ documents }), headers: { "x-project-id": "lab", "idempotency-key": crypto.randomUUID() } });
  expect(made.ok).toBe(true);
  await expect(page.getByRole("link", { name: "of-the-lab" })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("link", { name: "of-the-lab" })).toBeVisible();
  await page.goto("/connections");
  await expect(page.getByRole("heading", { level: 1, name: "Connections" })).toBeVisible();
  await expect(page.getByRole("link", { name: "of-the-lab" })).toHaveCount(0);
});

test("fits 390 px", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of ["/profile", "/users", `/users/${name}`, "/roles", "/members", "/tenants", "/projects", "/secrets", "/connections/new"]) {
    await page.goto(path);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expectNoSidewaysScroll(page);
  }
});
