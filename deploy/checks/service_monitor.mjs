// Whether the ServiceMonitor on standard input, in JSON, is one.
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";
import { text } from "node:stream/consumers";

new ServiceMonitor(JSON.parse(await text(process.stdin))).validate();
