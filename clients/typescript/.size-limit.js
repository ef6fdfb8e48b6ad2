// The sizes that the package keeps, gzipped. What comes from elsewhere is left out: React, and the core where the hooks
// stand on it.
const standing = { name: "standing", setup: (build) => build.onResolve({ filter: /^\.\.\// }, () => ({ external: true })) };

export default [
  { name: "core", path: "dist/index.js", limit: "5 kB", gzip: true },
  {
    name: "react",
    path: "dist/react/index.js",
    ignore: ["react", "react/jsx-runtime"],
    limit: "2 kB",
    gzip: true,
    modifyEsbuildConfig: (config) => ({ ...config, plugins: [...(config.plugins ?? []), standing] }),
  },
];
