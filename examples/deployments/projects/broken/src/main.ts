import { nobodyWroteThis } from "./missing.ts";

nobodyWroteThis();
