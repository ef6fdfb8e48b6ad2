// Components as they were written for the hooks before these: only the import differs. Compiled, never run.
import { useCallback, useEffect, useState } from "react";
import { SSEErrorBoundary, useSSE, useSSEEvent } from "watertight/react";

export function AgentNetworkComponent() {
  const [networkData, setNetworkData] = useState(null);

  // This hook automatically manages subscriptions and cleanup
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

export function AdvancedSSEComponent() {
  const sse = useSSE({ sessionId: 'my-session' });

  useEffect(() => {
    // Each addEventListener returns an unsubscribe function
    const unsubscribe1 = sse.addEventListener('event1', (event) => {
      console.log('Event 1:', event);
    });

    const unsubscribe2 = sse.addEventListener('event2', (event) => {
      console.log('Event 2:', event);
    });

    // Return cleanup function that calls all unsubscribe functions
    return () => {
      unsubscribe1();
      unsubscribe2();
    };
  }, [sse.addEventListener]);

  return <div>Advanced SSE Component</div>;
}

export function Monitoring({ sessionId }: { sessionId: string }) {
  const sse = useSSE({ sessionId });

  useEffect(() => {
    if (sse.connectionError) {
      console.error('SSE Connection Error:', sse.connectionError);
      // Report to monitoring service
    }
  }, [sse.connectionError]);

  return null;
}

export function Guarded() {
  return (
    <SSEErrorBoundary fallback={<div>Error: SSE connection failed. Please refresh the page.</div>}>
      <AgentNetworkComponent />
    </SSEErrorBoundary>
  );
}

// A module mock.

interface Mock<A extends unknown[], R> {
  (...args: A): R;
  toHaveBeenCalled?: boolean;
}
declare const jest: {
  fn<A extends unknown[], R = any>(implementation?: (...args: A) => R): Mock<A, R>;
  mock(module: string, factory: () => object): void;
};

const mockSSE = {
  isConnected: true,
  addEventListener: jest.fn((_type, _handler) => {
    // Return mock unsubscribe function
    return jest.fn();
  }),
  connect: jest.fn(),
  disconnect: jest.fn(),
};

jest.mock('watertight/react', () => ({
  useSSE: () => mockSSE,
  useSSEEvent: (_eventType: string, _handler: () => void) => mockSSE,
}));
