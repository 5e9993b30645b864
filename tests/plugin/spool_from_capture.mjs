// Entry point: node tests/plugin/spool_from_capture.mjs < plugin.jsonl
import { main } from "../../src/cline_otel/plugin/spool_from_capture.mjs";

main();
