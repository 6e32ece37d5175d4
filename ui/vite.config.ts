// Build and test configuration. Everything lands under dist/assets with a content hash, so the server may
// cache it for ever; index.html is the only file that must be revalidated. No inline script is produced: the
// server's policy is `script-src 'self'`.
import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.QD_DEV_SERVER ?? "http://127.0.0.1:7070";
const proxied = ["/api", "/openapi.json", "/docs", "/health", "/ready", "/version"];

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: {
    host: "127.0.0.1",
    port: 5173,
    // The Host header is kept, so that the same-origin check of cookie mutations passes through the proxy.
    proxy: Object.fromEntries(
      [...proxied, "^/t/[^/]+/(p/[^/]+/)?api/"].map((path) => [path, { target: server, changeOrigin: false }]),
    ),
  },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
  worker: { format: "es" },
  test: {
    environment: "jsdom",
    setupFiles: ["src/test/setup.ts"],
    include: ["src/**/*.test.{ts,tsx}"],
    restoreMocks: true,
    css: false,
  },
});
