/** Other processes of this machine. */

/** Whether a process of this number is running. */
export function isRunning(processId: number): boolean {
  if (!(processId > 0)) return false;
  try {
    return process.kill(processId, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // It is another user's.
  }
}
