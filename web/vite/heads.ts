/**
 * What the heads of all pages have in common. A page's file has its own: its title and its description, which cards of links
 * to it show too, and where its program begins.
 */

import type { HtmlTagDescriptor, Plugin } from "vite";

const WITHOUT_SCRIPTS = "This page is drawn and computed in your browser by JavaScript, which does not run here.";

/** The paper of both themes: --paper in src/style/tokens.css. */
const PAPER = { light: "#fdfcfa", dark: "#15171b" };

export function heads(): Plugin {
  return {
    name: "heads",
    transformIndexHtml: {
      // The build must not look for what it refers to: that lies beside the pages under these names.
      order: "post",
      handler(html) {
        const [, title] = /<title>(.*?)<\/title>/.exec(html)!;
        const [, description] = /<meta name="description" content="(.*?)"/.exec(html)!;
        const metas = [
          { charset: "utf-8" },
          { name: "viewport", content: "width=device-width, initial-scale=1" },
          { name: "color-scheme", content: "light dark" },
          { name: "theme-color", media: "(prefers-color-scheme: light)", content: PAPER.light },
          { name: "theme-color", media: "(prefers-color-scheme: dark)", content: PAPER.dark },
          { property: "og:type", content: "website" },
          { property: "og:title", content: title },
          { property: "og:description", content: description },
        ];
        return [
          ...metas.map((attrs): HtmlTagDescriptor => ({ tag: "meta", attrs, injectTo: "head-prepend" })),
          { tag: "link", attrs: { rel: "icon", href: "./icon.svg" }, injectTo: "head-prepend" },
          { tag: "script", attrs: { src: "./theme.js" }, injectTo: "head-prepend" },
          { tag: "noscript", children: WITHOUT_SCRIPTS, injectTo: "body-prepend" },
        ];
      },
    },
  };
}
