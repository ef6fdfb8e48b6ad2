import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { SSEError } from "watertight";
import { App } from "./App.tsx";
import "./styles/page.css";
import "./styles/parts.css";
import "./styles/network.css";

const root = document.getElementById("root");
if (!root) throw new Error("the page has no #root");
createRoot(root, {
  // What ended the connection is shown by its boundary, with a button; the console need not have it, too.
  onCaughtError: (error) => error instanceof SSEError || console.error(error),
}).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
