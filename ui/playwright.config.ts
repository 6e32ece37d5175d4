// End-to-end tests in real Chromium against real servers. They are started outside (by `./x test`), which passes their
// addresses and tokens: QD_E2E_URL and QD_E2E_TOKEN, QD_E2E_TESTBED_URL and QD_E2E_TESTBED_TOKEN. The browser is Debian's.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  testDir: "e2e",
  timeout: 180_000,
  expect: { timeout: 15_000 },
  workers: 1,
  // A second try would hide a race.
  retries: 0,
  reporter: [["list"]],
  outputDir: "test-results",
  use: {
    baseURL: process.env.QD_E2E_URL ?? "http://127.0.0.1:7070",
    viewport: { width: 1440, height: 900 },
    screenshot: "only-on-failure",
    trace: "retain-on-failure",
    launchOptions: {
      executablePath: process.env.QD_CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
