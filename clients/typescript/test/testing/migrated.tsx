// Components as they were written for the hooks before these: only the import differs. `test/types/migration.tsx` compiles
// them against the package; here they run.
import { useCallback, useEffect, useState, type ReactNode } from "react";
import { SSEErrorBoundary, useSSE, useSSEEvent } from "../../src/react/index.ts";

export function AgentNetworkComponent(): ReactNode {
  const [networkData, setNetworkData] = useState(null);

  const sse = useSSEEvent(
    'agent_network_update',
    useCallback((data) => {
      setNetworkData(data);
    }, []),
    { sessionId: 'my-session' }
  );

  return (
    <div>
      <div>Connection: {sse.isConnected ? 'Connected' : 'Disconnected'}</div>
      <div>Data: {JSON.stringify(networkData)}</div>
    </div>
  );
}

export function AdvancedSSEComponent(): ReactNode {
  const sse = useSSE({ sessionId: 'my-session' });

  useEffect(() => {
    const unsubscribe1 = sse.addEventListener('event1', (event) => {
      console.log('Event 1:', event);
    });

    const unsubscribe2 = sse.addEventListener('event2', (event) => {
      console.log('Event 2:', event);
    });

    return () => {
      unsubscribe1();
      unsubscribe2();
    };
  }, [sse.addEventListener]);

  return <div>Advanced SSE Component</div>;
}

export function Monitoring({ sessionId }: { sessionId: string }): ReactNode {
  const sse = useSSE({ sessionId });

  useEffect(() => {
    if (sse.connectionError) {
      console.error('SSE Connection Error:', sse.connectionError);
    }
  }, [sse.connectionError]);

  return null;
}

export function Guarded(): ReactNode {
  return (
    <SSEErrorBoundary fallback={<div>Error: SSE connection failed. Please refresh the page.</div>}>
      <AgentNetworkComponent />
    </SSEErrorBoundary>
  );
}
