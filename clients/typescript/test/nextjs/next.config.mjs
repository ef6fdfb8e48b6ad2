export default {
  // The folder is an application of its own, whatever lockfiles are above it.
  turbopack: { root: import.meta.dirname },
};
