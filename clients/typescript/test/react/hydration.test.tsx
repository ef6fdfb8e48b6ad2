import { StrictMode, type ReactNode } from "react";
import { renderToString } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { registry } from "../../src/store/connection.ts";
import { SSEErrorBoundary, SSEProvider } from "../../src/react/index.ts";
import { mock, mount, Status } from "./kit.tsx";

describe("server rendering", () => {
  it("is idle, opens nothing, and hydrates without a mismatch", async () => {
    const sse = mock();
    const tree: ReactNode = (
      <StrictMode>
        <SSEProvider {...sse.options}>
          <SSEErrorBoundary>
            <Status />
          </SSEErrorBoundary>
        </SSEProvider>
      </StrictMode>
    );
    const markup = renderToString(tree);
    expect(markup).toBe("<b>idle/false/-</b>");
    expect([sse.requests, registry.size]).toEqual([0, 0]);
    const { container, unmount } = await mount(tree, markup);
    await sse.open();
    expect([container.innerHTML, sse.requests]).toEqual(["<b>open/true/-</b>", 1]);
    unmount();
  });

  it("hydrates idle also where the connection is open already", async () => {
    const sse = mock();
    await mount(<Status {...sse.options} />);
    const markup = renderToString(<Status {...sse.options} />);
    expect(markup).toBe("<b>idle/false/-</b>");
    const { container } = await mount(<Status {...sse.options} />, markup);
    expect([container.innerHTML, sse.requests]).toEqual(["<b>open/true/-</b>", 1]);
  });
});
