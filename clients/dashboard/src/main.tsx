import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { AccessProvider } from "./access.tsx";
import { App } from "./App.tsx";
import "./style/page.css";
import "./style/parts.css";

const root = document.getElementById("root");
if (!root) throw new Error("the page has no #root");
createRoot(root).render(
  <StrictMode>
    <AccessProvider>
      <App />
    </AccessProvider>
  </StrictMode>,
);
