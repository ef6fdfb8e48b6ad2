// What the types of the client allow, and what they do not. Compiled, never run.
import { type as ark } from "arktype";
import * as v from "valibot";
import { SSEClient, type DataParser, type Gap } from "watertight";
import { z } from "zod";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(proof: Equal<A, B>): void;

const inferred = new SSEClient({
  sessionId: "s",
  parsers: {
    price: z.object({ eur: z.number() }),
    stock: v.object({ count: v.number() }),
    line: (text: string) => text.split(","),
  },
});
inferred.on("price", (data) => same<typeof data, { eur: number }>(true));
inferred.on("stock", (data) => same<typeof data, { count: number }>(true));
inferred.on("line", (data) => same<typeof data, string[]>(true));
inferred.on("gap", (data) => same<typeof data, Gap>(true));
inferred.on("*", (data, event) => [same<typeof data, unknown>(true), same<typeof event.id, string>(true)]);
// @ts-expect-error no such type
inferred.on("other", () => {});

const untyped = new SSEClient({ sessionId: "s" });
untyped.on("anything", (data) => same<typeof data, unknown>(true));
untyped.on("gap", (data) => same<typeof data, Gap>(true));

// An ArkType is a function, too, so its data is declared, not inferred.
const place: DataParser<{ name: string }> = { "~standard": ark({ name: "string" })["~standard"] };
new SSEClient<{ place: { name: string } }>({ sessionId: "s", parsers: { place } });

const declared = new SSEClient<{ tick: { n: number } }>({ sessionId: "s", headers: { accept: "text/event-stream, */*" } });
declared.on("tick", ({ n }) => n.toFixed());
// @ts-expect-error a parser gives what the map says
new SSEClient<{ tick: { n: number } }>({ sessionId: "s", parsers: { tick: (text) => text } });
