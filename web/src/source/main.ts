import "../style/base.css";
import { mount } from "svelte";
import Source from "./Source.svelte";

mount(Source, { target: document.getElementById("app")! });
