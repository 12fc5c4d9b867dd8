import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// Addresses are relative to the `<base>` that the server writes: the page may lie below any path.
export default defineConfig({
    base: "./",
    plugins: [svelte()],
    build: {
        assetsDir: "static",
        assetsInlineLimit: 0,
        modulePreload: false,
        target: "es2022",
    },
    server: {
        proxy: { "/api": "http://127.0.0.1:4171" },
    },
    test: {
        include: ["src/**/*.test.ts"],
    },
});
