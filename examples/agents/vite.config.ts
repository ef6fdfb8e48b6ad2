import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // The client is a link to a folder with a React of its own, for its tests. There has to be one React in a page.
  resolve: { dedupe: ["react", "react-dom"] },
  // The service says that nothing inline runs in its page.
  build: { assetsInlineLimit: 0 },
});
