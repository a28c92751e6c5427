import "katex/dist/katex.min.css";
import "../style/base.css";
import "./serif.css";
import { mount } from "svelte";
import Explanation from "./Explanation.svelte";

mount(Explanation, { target: document.getElementById("app")! });
