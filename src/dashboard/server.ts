/** The server of `preftune ui`: on the loopback interface, for whoever has the address with the token. */

import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { systemReason } from "../checkpoints/files.ts";
import { ConfigError } from "../errors.ts";
import { dashboardApp } from "./app.ts";
import { Events } from "./events.ts";
import { Guard } from "./guard.ts";
import { RunIndex } from "./run-index.ts";
import { pageFolder, StaticFiles } from "./static-files.ts";

const ADDRESS = "127.0.0.1";
/** Bytes of a request's address and headers: a chart of hundreds of sources asks for hundreds of names. */
const HEADER_BYTES = 2 ** 18;
/** Milliseconds that answers under way have when the server ends. */
const LAST_WORDS = 200;

interface DashboardOptions {
  /** Folder of runs, or one run. It need not be there yet. */
  readonly folder: string;
  /** A free one if not given. */
  readonly port?: number | undefined;
  /** Milliseconds between looks at the files; a second if not given. */
  readonly interval?: number;
  /** Whether the built page is served too, and not the data alone; true if not given. */
  readonly page?: boolean;
}

export interface Dashboard extends AsyncDisposable {
  /** The address to open, with the token. */
  readonly url: string;
  readonly port: number;
}

/** Starts the server. Dispose of it. Throws ConfigError where the port can't be had, RunError where the page is not built. */
export async function startDashboard({
  folder,
  port = 0,
  interval = 1000,
  page = true,
}: DashboardOptions): Promise<Dashboard> {
  const files = page ? new StaticFiles(pageFolder()) : undefined;
  const [guard, index] = [new Guard(), new RunIndex(folder)];
  const events = new Events(index, interval);
  const { fetch } = dashboardApp({ guard, index, events, files });
  const server = createAdaptorServer({
    fetch,
    hostname: ADDRESS,
    overrideGlobalObjects: false,
    serverOptions: { maxHeaderSize: HEADER_BYTES },
  }) as Server;
  server.listen(port, ADDRESS);
  try {
    await once(server, "listening");
  } catch (error) {
    events[Symbol.dispose]();
    throw new ConfigError(`Port ${port} of ${ADDRESS} can't be had (${reason(error)}). Give another --port, or none.`, {
      cause: error,
    });
  }
  const listening = (server.address() as AddressInfo).port;
  guard.listensOn(listening);
  return {
    url: `http://${ADDRESS}:${listening}/?token=${guard.token}`,
    port: listening,
    async [Symbol.asyncDispose]() {
      events[Symbol.dispose]();
      const closed = once(server, "close");
      server.close();
      // What is being sent may come to its end; a browser keeps its connections open beyond that.
      const patience = setTimeout(() => server.closeAllConnections(), LAST_WORDS);
      await closed;
      clearTimeout(patience);
    },
  };
}

function reason(error: unknown): string {
  return (error as NodeJS.ErrnoException).code === "EADDRINUSE" ? "it is in use" : systemReason(error);
}
