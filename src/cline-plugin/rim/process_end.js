// The end of the process, in which the recorder has the last word.

/** @import { Recorder } from "./recorder.js" */

/**
 * Sees to it that the recorder is the last to go.
 *
 * Cline ends its plugin process by SIGTERM and, 300 ms later, SIGKILL; a process whose Cline has died exits by itself.
 * Ctrl-C and a closed terminal reach the whole process group, this process too, before Cline has reported how the run
 * ended: those it leaves to Cline. In a host that loads plugins into its own process, signals are not ours.
 *
 * @param {Recorder} recorder
 */
export function watchProcess(recorder) {
  process.once("exit", () => recorder.end(process.connected === false ? "disconnected" : "exit"));
  const isPluginHost = Reflect.get(globalThis, "__clinePluginHost") !== undefined;
  if (!isPluginHost || typeof process.send !== "function") return;
  process.on("SIGINT", () => recorder.flush());
  process.on("SIGHUP", () => recorder.flush());
  const onTerminate = () => {
    let turns = 3; // hooks that Cline called before the signal are still in the channel
    const step = () => {
      if (turns-- > 0) {
        setImmediate(step);
        return;
      }
      process.removeListener("SIGTERM", onTerminate);
      if (process.listenerCount("SIGTERM") > 0) {
        recorder.flush(); // another plugin decides when; "exit" follows
        return;
      }
      recorder.end("terminated");
      process.kill(process.pid, "SIGTERM");
    };
    setImmediate(step);
  };
  process.on("SIGTERM", onTerminate);
}
