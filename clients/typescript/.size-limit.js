// The sizes that the package keeps, gzipped. What comes from elsewhere is left out: React, and the core where the hooks
// stand on it.
const standing = { name: "standing", setup: (build) => build.onResolve({ filter: /^\.\.\// }, () => ({ external: true })) };

const plugins = (...more) => (config) => ({ ...config, format: "esm", plugins: [...(config.plugins ?? []), ...more] });

export default [
  { name: "core", path: "dist/index.js", limit: "5 kB", gzip: true, modifyEsbuildConfig: plugins() },
  {
    name: "react",
    path: "dist/react/index.js",
    ignore: ["react", "react/jsx-runtime"],
    limit: "2 kB",
    gzip: true,
    modifyEsbuildConfig: plugins(standing),
  },
];
