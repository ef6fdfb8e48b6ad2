/** Whoever is signed in gets a token for the hub. Here: the one that the environment names. */
export function POST(): Response {
  const token = process.env.EVENTS_TOKEN;
  return token ? new Response(token) : new Response("not signed in", { status: 401 });
}
