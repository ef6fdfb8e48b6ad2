import type { ToolCall } from "../model/run.ts";

export function Tools({ tools }: { tools: readonly ToolCall[] }) {
  return (
    <ul className="tools">
      {tools.map(({ call, name, input, output, ok }) => (
        <li key={call} data-testid="tool" data-state={output === null ? "working" : ok ? "answered" : "failed"}>
          <code>
            {name}({JSON.stringify(input)})
          </code>{" "}
          {output ?? "…"}
        </li>
      ))}
    </ul>
  );
}
