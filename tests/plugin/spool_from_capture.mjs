// Entry point: node tests/plugin/spool_from_capture.mjs PSEUDONYMS_FILE < plugin.jsonl
import { main } from "../../src/cline_otel/plugin/spool_from_capture.mjs";

main();
