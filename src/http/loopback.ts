/** Whether `Host` of a request names this machine itself. A web page whose own name was pointed here says another one (DNS rebinding). */
export function isLoopbackHost(host: string | undefined): boolean {
  return host !== undefined && /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i.test(host);
}

/** Whether `Origin` is that of a debugger: Chrome's own pages. Programs send none; pages of the web always send theirs. */
export function isDebuggerOrigin(origin: string | undefined): boolean {
  return origin === undefined || /^(?:chrome-)?devtools:\/\/devtools$/.test(origin);
}
