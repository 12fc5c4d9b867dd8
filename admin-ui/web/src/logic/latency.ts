import type { Latency } from "./types";

/** The percentiles that any of them has, the greatest first. */
export function quantiles(latencies: readonly Latency[]): number[] {
    const all = new Set(latencies.flatMap(({ percentiles }) => (percentiles ?? []).map(({ quantile }) => quantile)));
    return [...all].sort((left, right) => right - left);
}
