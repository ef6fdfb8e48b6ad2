import { Activity, useState } from "react";
import { useView, VIEWS, type View } from "./views/useView.ts";
import { Agents } from "./views/Agents.tsx";
import { Logs } from "./views/Logs.tsx";
import { Metrics } from "./views/Metrics.tsx";

const SHOWN: Readonly<Record<View, () => React.ReactNode>> = { agents: Agents, metrics: Metrics, logs: Logs };
const NAMES: Readonly<Record<View, string>> = { agents: "Agents", metrics: "Metrics", logs: "Logs" };

/** The page: three views, each with connections of its own. */
export function App() {
  const view = useView();
  const [visited, setVisited] = useState<ReadonlySet<View>>(new Set([view]));
  if (!visited.has(view)) setVisited(new Set([...visited, view]));
  return (
    <>
      <nav className="views" aria-label="Views">
        {VIEWS.map((name) => (
          <a key={name} href={`#${name}`} aria-current={name === view ? "page" : undefined} data-testid={`view-${name}`}>
            {NAMES[name]}
          </a>
        ))}
      </nav>
      {VIEWS.filter((name) => visited.has(name)).map((name) => {
        const Shown = SHOWN[name];
        return (
          // Hidden, it keeps what it has and gives its connection back; shown again, it gets what it missed.
          <Activity key={name} mode={name === view ? "visible" : "hidden"}>
            <Shown />
          </Activity>
        );
      })}
    </>
  );
}
