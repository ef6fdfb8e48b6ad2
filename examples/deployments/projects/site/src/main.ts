import { ago } from "./ago.ts";
import "./site.css";

const loaded = Date.now();
const when = document.querySelector("#when");
setInterval(() => {
  if (when) when.textContent = `You are here for ${ago(Date.now() - loaded)}.`;
}, 1_000);
