import "../style/base.css";
import { mount } from "svelte";
import type { ReportData } from "../../../src/dashboard/protocol.ts";
import Report from "./Report.svelte";

const text = document.getElementById("preftune-report")?.textContent?.trim();
const data: ReportData | undefined = text ? JSON.parse(text) : undefined;

mount(Report, { target: document.getElementById("app")!, props: { data } });
