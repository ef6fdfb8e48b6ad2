// Does not end when it is asked to.
process.on("SIGTERM", () => console.log("not yet"));
console.log(`${process.pid}`);
setInterval(() => {}, 1_000);
