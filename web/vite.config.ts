import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { assets } from "./vite/assets.ts";
import { equations } from "./vite/equations.ts";
import { excerpts } from "./vite/excerpts.ts";
import { heads } from "./vite/heads.ts";
import { licenses } from "./vite/licenses.ts";
import { QUIET } from "./vite/quiet.ts";
import { report } from "./vite/report.ts";

const page = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  root: page("."),
  // Relative addresses: the pages work under any path.
  base: "./",
  plugins: [heads(), equations(), excerpts(), assets(), licenses(), svelte(), report()],
  server: { fs: { allow: [page("..")] } },
  worker: { format: "es" },
  build: {
    outDir: page("../dist/web"),
    emptyOutDir: true,
    target: "es2023",
    rolldownOptions: {
      ...QUIET,
      input: { index: page("index.html"), source: page("source.html"), dashboard: page("dashboard.html") },
    },
  },
});
