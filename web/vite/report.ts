/**
 * Builds report.html beside the other pages as one file that refers to no other: scripts, styles, fonts and the icon are inside. It
 * is a build of its own, since its scripts must not be divided with those of the other pages. `preftune report` puts a run's
 * data into it.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { build, type Plugin, type ResolvedConfig } from "vite";
import { heads } from "./heads.ts";
import { QUIET } from "./quiet.ts";

const web = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

export function report(): Plugin {
  let config: ResolvedConfig;
  return {
    name: "report",
    apply: "build",
    configResolved(resolved) {
      config = resolved;
    },
    async closeBundle() {
      await build({
        configFile: false,
        root: config.root,
        base: "./",
        logLevel: "warn",
        plugins: [heads(), svelte(), oneFile()],
        build: {
          outDir: config.build.outDir,
          emptyOutDir: false,
          copyPublicDir: false,
          target: "es2023",
          cssCodeSplit: false,
          modulePreload: false,
          assetsInlineLimit: () => true,
          rolldownOptions: { ...QUIET, input: { report: web("report.html") }, output: { codeSplitting: false } },
        },
      });
    },
  };
}

/** Puts what the page refers to into the page. */
function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_, bundle) {
      const page = bundle["report.html"];
      if (page?.type !== "asset") throw new Error("report.html was not built");
      const taken = new Set<string>();
      const file = (path: string): string => {
        const found = bundle[path.replace(/^\.\//, "")];
        if (!found) return readFileSync(web(`public/${path}`), "utf8");
        taken.add(found.fileName);
        return found.type === "chunk" ? found.code : String(found.source);
      };
      const scripts: string[] = [];
      const html = String(page.source)
        .replace(/<script type="module"[^>]*\ssrc="([^"]+)"><\/script>/g, (_, path) => {
          scripts.push(file(path).replaceAll("</script", "<\\/script"));
          return "";
        })
        .replace(/<link rel="stylesheet"[^>]*\shref="([^"]+)">/g, (_, path) => `<style>${file(path)}</style>`)
        .replace(/<script\s+src="([^"]+)"><\/script>/g, (_, path) => `<script>${file(path)}</script>`)
        .replace(
          /href="(\.\/[^"]+\.svg)"/g,
          (_, path) => `href="data:image/svg+xml,${encodeURIComponent(file(path))}"`,
        );
      const reference = /\s(?:src|href)="(?!data:)[^"]*"/.exec(html.replaceAll(/<style>[\s\S]*?<\/style>/g, ""));
      if (reference) throw new Error(`report.html is not one file: it refers to${reference[0]}`);
      page.source = html.replace("</body>", () => `<script type="module">${scripts.join("\n")}</script>\n  </body>`);
      for (const name of taken) delete bundle[name];
      const left = Object.keys(bundle).filter((name) => name !== "report.html");
      if (left.length > 0) throw new Error(`report.html is not one file: ${left.join(", ")} was built beside it`);
    },
  };
}
