import type { ReactNode } from "react";
import { Events } from "./events";

export default function Layout({ children }: { children: ReactNode }): ReactNode {
  return (
    <html lang="en">
      <body>
        <Events>{children}</Events>
      </body>
    </html>
  );
}
